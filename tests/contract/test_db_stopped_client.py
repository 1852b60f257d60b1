"""A process that is stopped inside a transaction must not keep others from its rows for long, whatever it was doing."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from shared.db.connect import connect

_ROOT = Path(__file__).parents[2]
_RELEASED_SECONDS = 25
"""More than the longest time-out: what is tested is that there is one."""

_STOPPED = """
import asyncio, os, signal, sys
from sqlalchemy import text
from shared.db.connect import connect

async def main():
    database = connect(sys.argv[1], 1)
    async with database.transaction() as transaction:
        await transaction.execute(text("SELECT * FROM held FOR UPDATE"))
        if sys.argv[2] == "reading":
            asyncio.ensure_future(
                transaction.execute(text("SELECT repeat('x', 1000000) FROM generate_series(1, 100)"))
            )
            # Until the answer is on its way; most of it is still to come, since it is larger than any buffer between us.
            await asyncio.sleep(0.05)
        if sys.argv[2] == "preparing":
            raw = await transaction._connection.get_raw_connection()
            await raw.driver_connection.prepare("SELECT 12345")
        os.kill(os.getpid(), signal.SIGSTOP)

asyncio.run(main())
"""


@pytest.mark.parametrize("doing", ["reading", "preparing", "nothing"])
async def test_a_stopped_process_loses_its_locks(postgres_url: str, doing: str) -> None:
    database = connect(postgres_url, 2)
    async with database.transaction() as transaction:
        await transaction.execute(text("CREATE TABLE held (id INTEGER PRIMARY KEY)"))
        await transaction.execute(text("INSERT INTO held VALUES (1)"))
    command = [sys.executable, "-c", _STOPPED, postgres_url, doing]
    process = subprocess.Popen(command, cwd=_ROOT, env={**os.environ, "PYTHONPATH": str(_ROOT)})  # noqa: ASYNC220
    try:
        await _until_stopped(process.pid)
        async with asyncio.timeout(_RELEASED_SECONDS), database.transaction() as transaction:
            await transaction.execute(text("UPDATE held SET id = 2"))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        await database.close()


async def _until_stopped(pid: int) -> None:
    async with asyncio.timeout(20):
        while psutil.Process(pid).status() != psutil.STATUS_STOPPED:
            await asyncio.sleep(0.02)


async def test_the_limit_of_a_transaction_outlives_those_that_are_rolled_back(postgres_url: str) -> None:
    database = connect(postgres_url, 1)
    try:
        for _ in range(2):
            async with database.reading() as transaction:
                shown = await transaction.execute(text("SHOW transaction_timeout"))
                assert shown.scalar_one() == "15s"
    finally:
        await database.close()
