"""Databases on a server that runs, ours or an existing one."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit, urlunsplit

import asyncpg

DRIVER_PREFIX = "postgresql+asyncpg://"


def create_database(server_url: str, name: str) -> str:
    """Makes an empty database, dropping one of that name.

    Args:
        server_url: any database of the server, postgresql+asyncpg://…, as a user that may create databases.
        name: of the new database.

    Returns:
        The new database's URL.
    """
    _execute(server_url, f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE)", f"CREATE DATABASE {_quoted(name)}")
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))


def drop_database(server_url: str, name: str) -> None:
    """Drops a database with whoever is connected to it; nothing happens if there is none."""
    _execute(server_url, f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE)")


def check_connection(server_url: str) -> None:
    """Connects once.

    Raises:
        OSError, TimeoutError, asyncpg.PostgresError: no server there, or it refuses us.
    """
    _execute(server_url, "SELECT 1")


def _execute(server_url: str, *statements: str) -> None:
    # In a thread with an event loop of its own, so that callers inside a running loop can use it as well.
    with ThreadPoolExecutor(max_workers=1) as executor:
        executor.submit(asyncio.run, _run(server_url, statements)).result()


async def _run(server_url: str, statements: tuple[str, ...]) -> None:
    connection = await asyncpg.connect(server_url.replace("+asyncpg", "", 1), timeout=10)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
