"""`python -m migrations "what changes"`: writes a new revision from the difference between the newest and the tables.

Read it before you commit it: a forward-safe change adds first, and drops only what no running version reads.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from alembic import command
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from migrations.running import alembic_config, migrate
from services.cli.tables import declared


def _write(connection: Connection, message: str) -> None:
    config = alembic_config(connection)
    config.attributes["metadata"] = declared()
    number = len(list((Path(__file__).parent / "versions").glob("[0-9]*.py"))) + 1
    command.revision(config, message=message, autogenerate=True, rev_id=f"{number:04d}")


async def _main(message: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite+aiosqlite:///{folder}/schema.db"
        await migrate(url)
        engine = create_async_engine(url)
        async with engine.connect() as connection:
            await connection.run_sync(_write, message)
        await engine.dispose()


if __name__ == "__main__":
    asyncio.run(_main(" ".join(sys.argv[1:]) or "change"))
