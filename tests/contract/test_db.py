"""The laws of the database port, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    func,
    select,
    text,
)
from sqlalchemy.ext.asyncio import create_async_engine

from shared.db.connect import connect
from shared.db.port import (
    Action,
    Database,
    DatabaseConflict,
    DatabaseRefused,
    DatabaseUnavailable,
    Row,
    Write,
)
from shared.errors import Permanent
from tests.contract.conftest import SQL, where_is

things = Table(
    "test_things",
    MetaData(),
    Column("tenant", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("body", LargeBinary),
    Column("name", Text),
    Column("share", Float),
    Column("open", Boolean),
)
ALL = ("tenant", "number", "at_ms", "body", "name", "share", "open")
KEY = ("tenant", "number")


def row(number: int, tenant: str = "shop", name: str | None = "n") -> Row:
    return (tenant, number, 2**60 + number, bytes([number % 256, 0, 255]), name, number / 4, number % 2 == 0)


@pytest.fixture(params=SQL)
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with the table."""
    where = where_is(request.param, request, tmp_path)
    engine = create_async_engine(where)
    async with engine.begin() as connection:
        await connection.run_sync(things.metadata.create_all)
    await engine.dispose()
    return where


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    opened = connect(url)
    yield opened
    await opened.close()


async def all_rows(database: Database) -> list[Row]:
    async with database.reading() as transaction:
        found = await transaction.execute(select(things).order_by(things.c.tenant, things.c.number))
        return [tuple(r) for r in found]


async def fill(database: Database, rows: list[Row]) -> None:
    async with database.transaction() as transaction:
        await transaction.insert(things, ALL, rows)


# Primitives


async def test_every_type_comes_back_as_it_went_in(database: Database) -> None:
    rows = [
        ("shop", 1, -(2**63), b"\x00\xff\x00", "é ✓", 0.1, True),
        ("shop", 2, 2**63 - 1, b"", "", -1e300, False),
        ("shop", 3, 0, None, None, None, None),
    ]
    await fill(database, rows)
    assert await all_rows(database) == rows


async def test_many_rows_go_in_and_are_found_again(database: Database) -> None:
    rows = [row(number) for number in range(12_345)]
    await fill(database, rows)
    async with database.reading() as transaction:
        keys = [("shop", number) for number in range(-5, 12_345, 2)]
        found = await transaction.select_many(things, KEY, keys, ALL)
    assert sorted(found) == [r for r in rows if r[1] % 2 == 1]


async def test_empty_lists_do_nothing(database: Database) -> None:
    async with database.transaction() as transaction:
        await transaction.insert(things, ALL, [])
        await transaction.upsert(things, ALL, [])
        assert await transaction.insert_new(things, ALL, [], ["number"]) == []
        assert await transaction.select_many(things, KEY, [], ALL) == []
        assert await transaction.delete_many(things, KEY, []) == 0
    assert await all_rows(database) == []


async def test_insert_new_gives_only_the_new_ones_and_keeps_the_old(database: Database) -> None:
    await fill(database, [row(1, name="old")])
    async with database.transaction() as transaction:
        given = [row(1, name="new"), row(2, name="first"), row(2, name="second"), row(3)]
        inserted = await transaction.insert_new(things, ALL, given, ["number", "name"])
    assert sorted(inserted) == [(2, "first"), (3, "n")]
    assert [(r[1], r[4]) for r in await all_rows(database)] == [(1, "old"), (2, "first"), (3, "n")]


async def test_upsert_inserts_and_replaces_only_the_columns_given(database: Database) -> None:
    await fill(database, [row(1, name="old")])
    async with database.transaction() as transaction:
        await transaction.upsert(
            things, ("tenant", "number", "at_ms", "name"), [("shop", 1, 7, "new"), ("shop", 2, 8, "x")]
        )
    changed = ("shop", 1, 7, *row(1)[3:4], "new", *row(1)[5:])
    assert await all_rows(database) == [changed, ("shop", 2, 8, None, "x", None, None)]


async def test_upsert_of_keys_alone_leaves_what_is_there(database: Database) -> None:
    keys = Table("test_keys", MetaData(), Column("name", Text, primary_key=True))
    async with database.transaction() as transaction:
        await transaction.execute(text("CREATE TABLE test_keys (name TEXT PRIMARY KEY)"))
        await transaction.upsert(keys, ("name",), [("a",)])
        await transaction.upsert(keys, ("name",), [("a",), ("b",)])
        assert sorted(await transaction.select_many(keys, ("name",), [("a",), ("b",)], ("name",))) == [("a",), ("b",)]


async def test_select_and_delete_by_part_of_the_key_concern_all_rows_of_it(database: Database) -> None:
    await fill(database, [row(n, tenant) for tenant in ("a", "b", "c") for n in range(3)])
    async with database.transaction() as transaction:
        found = await transaction.select_many(things, ("tenant",), [("a",), ("c",), ("zz",)], KEY)
        assert sorted(found) == [(tenant, n) for tenant in ("a", "c") for n in range(3)]
        assert await transaction.delete_many(things, ("tenant",), [("a",), ("zz",)]) == 3
        assert await transaction.delete_many(things, KEY, [("b", 1), ("b", 1), ("b", 9)]) == 1
    assert [r[:2] for r in await all_rows(database)] == [("b", 0), ("b", 2), ("c", 0), ("c", 1), ("c", 2)]


async def test_many_rows_are_deleted_and_counted(database: Database) -> None:
    await fill(database, [row(n) for n in range(5_000)])
    async with database.transaction() as transaction:
        assert await transaction.delete_many(things, KEY, [("shop", n) for n in range(1, 20_000)]) == 4_999
    assert [r[1] for r in await all_rows(database)] == [0]


# Transactions


async def test_an_exception_undoes_all_of_it_and_comes_out_as_it_is(database: Database) -> None:
    class MindChangedError(Exception):
        pass

    async def change_mind() -> None:
        async with database.transaction() as transaction:
            await transaction.insert(things, ALL, [row(1)])
            raise MindChangedError

    with pytest.raises(MindChangedError):
        await change_mind()
    assert await all_rows(database) == []


async def test_after_commit_is_called_once_it_can_be_read_and_never_without_a_commit(database: Database) -> None:
    told: list[str] = []

    async def write(rows: list[Row], word: str) -> None:
        async with database.transaction() as transaction:
            transaction.after_commit(lambda: told.append(word))
            await transaction.insert(things, ALL, rows)
            assert told == []

    with pytest.raises(DatabaseRefused):
        await write([row(1), row(1)], "failed")
    await write([row(1)], "committed")
    assert told == ["committed"]


async def test_a_cancelled_transaction_is_undone_and_blocks_nobody(database: Database) -> None:
    inside = asyncio.Event()

    async def hang() -> None:
        async with database.transaction() as transaction:
            await transaction.insert(things, ALL, [row(1)])
            inside.set()
            await asyncio.Event().wait()

    hanging = asyncio.ensure_future(hang())
    await inside.wait()
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    await fill(database, [row(2)])
    assert [r[1] for r in await all_rows(database)] == [2]


async def test_readers_see_one_snapshot_and_wait_for_no_writer(database: Database) -> None:
    await fill(database, [row(1)])
    count = select(func.count()).select_from(things)
    async with database.reading() as reading:
        assert (await reading.execute(count)).scalar_one() == 1
        async with database.transaction() as writing:
            await writing.insert(things, ALL, [row(2)])
            async with asyncio.timeout(5), database.reading() as second:
                assert (await second.execute(count)).scalar_one() == 1
        assert (await reading.execute(count)).scalar_one() == 1
    assert len(await all_rows(database)) == 2


async def test_a_reading_transaction_cannot_write(database: Database) -> None:
    with pytest.raises((DatabaseRefused, DatabaseUnavailable)):
        async with database.reading() as transaction:
            await transaction.insert(things, ALL, [row(1)])
    assert await all_rows(database) == []


async def test_writers_of_a_process_take_turns_and_lose_nothing(database: Database) -> None:
    await fill(database, [row(0)])

    async def increment() -> None:
        async with database.transaction() as transaction:
            locked = select(things.c.at_ms).with_for_update()
            at_ms = (await transaction.execute(locked)).scalar_one()
            await transaction.upsert(things, ("tenant", "number", "at_ms"), [("shop", 0, at_ms + 1)])

    await asyncio.gather(*(increment() for _ in range(40)))
    assert (await all_rows(database))[0][2] == 2**60 + 40


async def test_writers_of_two_processes_take_turns_and_lose_nothing(database: Database, url: str) -> None:
    other = connect(url)
    await asyncio.gather(*(fill(each, [row(n * 2 + k)]) for n in range(20) for k, each in enumerate((database, other))))
    assert [r[1] for r in await all_rows(database)] == list(range(40))
    await other.close()


# Errors


async def test_a_duplicate_key_is_refused_for_good(database: Database) -> None:
    await fill(database, [row(1)])
    with pytest.raises(DatabaseRefused):
        await fill(database, [row(2), row(1)])
    assert [r[1] for r in await all_rows(database)] == [1]


async def test_a_missing_value_and_a_wrong_statement_are_refused_for_good(database: Database) -> None:
    with pytest.raises(DatabaseRefused):
        await fill(database, [("shop", 1, None, None, None, None, None)])
    with pytest.raises(DatabaseRefused):
        async with database.transaction() as transaction:
            await transaction.execute(text("SELECT nothing FROM nowhere"))


async def test_a_key_twice_in_one_upsert_is_no_transient_error(database: Database) -> None:
    try:
        async with database.transaction() as transaction:
            await transaction.upsert(things, ("tenant", "number", "at_ms"), [("shop", 1, 1), ("shop", 1, 2)])
    except Permanent:
        assert await all_rows(database) == []


async def test_a_number_too_large_is_refused_for_good(database: Database) -> None:
    with pytest.raises(DatabaseRefused):
        await fill(database, [("shop", 1, 2**63, None, None, None, None)])


async def test_half_a_character_is_refused_for_good(database: Database) -> None:
    with pytest.raises(DatabaseRefused):
        await fill(database, [row(1, name="\ud800")])


async def test_a_nul_in_text_never_becomes_a_transient_error(database: Database) -> None:
    """PostgreSQL cannot keep it, SQLite can; bytes with NUL are kept by both."""
    try:
        await fill(database, [row(1, name="a\x00b")])
    except DatabaseRefused:
        assert await all_rows(database) == []


async def test_a_deadlock_is_a_conflict_and_one_of_the_two_goes_through(database: Database) -> None:
    await fill(database, [row(1), row(2)])
    both = asyncio.Barrier(2)

    async def lock(first: int, second: int) -> None:
        async with database.transaction() as transaction:
            statement = things.update().values(name=f"{first}")
            await transaction.execute(statement.where(things.c.number == first))
            if database.dialect == "postgresql":
                await both.wait()
            await transaction.execute(statement.where(things.c.number == second))

    answers = await asyncio.gather(lock(1, 2), lock(2, 1), return_exceptions=True)
    failed = [answer for answer in answers if answer is not None]
    # Where there is one writer at a time there is no deadlock.
    assert [type(answer) for answer in failed] == ([DatabaseConflict] if database.dialect == "postgresql" else [])
    assert len({r[4] for r in await all_rows(database)}) == 1


@pytest.mark.parametrize("how", ["transaction", "reading", "ping"])
async def test_a_server_that_is_not_there_is_unavailable(how: str, tmp_path: Path) -> None:
    (tmp_path / "folder.db").mkdir()
    for where in ("postgresql+asyncpg://u:p@127.0.0.1:1/none", f"sqlite+aiosqlite:///{tmp_path / 'folder.db'}"):
        database = connect(where)
        with pytest.raises(DatabaseUnavailable):
            await _use(database, how)
        await database.close()
    # A connection that never opened leaves its thread to end by itself, which needs the loop once more.
    await asyncio.to_thread(_join_connection_threads)


async def _use(database: Database, how: str) -> None:
    if how == "ping":
        await database.ping()
    else:
        async with database.transaction() if how == "transaction" else database.reading():
            pass


def _join_connection_threads() -> None:
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            thread.join(5)


async def test_who_comes_after_it_is_closed_opens_no_connection(url: str) -> None:
    database = connect(url, 2)
    await database.close()
    for late in (database.transaction, database.reading):
        with pytest.raises(DatabaseUnavailable, match="has closed"):
            async with late():
                pass


async def test_a_database_that_works_answers_a_ping(database: Database) -> None:
    await database.ping()


@pytest.mark.parametrize("url", ["mysql://u@h/d", "sqlite+aiosqlite:///:memory:", "postgresql://u@h/d"])
async def test_another_kind_of_url_is_refused_with_what_to_write(url: str) -> None:
    with pytest.raises(Permanent, match=r"postgresql\+asyncpg://"):
        connect(url)


async def test_a_lost_connection_is_unavailable_and_the_next_transaction_works(postgres_url: str) -> None:
    database = connect(postgres_url)
    with pytest.raises(DatabaseUnavailable):
        async with database.transaction() as transaction:
            await transaction.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    async with database.transaction() as transaction:
        assert (await transaction.execute(text("SELECT 1"))).scalar_one() == 1
    await database.close()


async def test_a_table_that_was_empty_is_not_scanned_for_ever(postgres_url: str) -> None:
    """A plan made for an empty table must not be kept once it has grown."""
    database = connect(postgres_url)
    name = uuid.uuid4().hex
    async with database.transaction() as transaction:
        assert (await transaction.execute(text("SHOW plan_cache_mode"))).scalar_one() == "force_custom_plan"
        assert (await transaction.execute(text("SELECT :name"), {"name": name})).scalar_one() == name
    await database.close()


async def test_a_new_file_can_be_opened_by_many_processes_at_once(tmp_path: Path) -> None:
    """Switching it to a write-ahead log needs the file alone, and two that want it at once are refused, not queued."""
    for attempt in range(50):
        path = tmp_path / f"{attempt}.db"
        with contextlib.closing(sqlite3.connect(path)) as maker:
            maker.execute("CREATE TABLE t (n INTEGER)")
        opened = [connect(f"sqlite+aiosqlite:///{path}") for _ in range(3)]
        await asyncio.gather(*(_insert_one(database) for database in opened))
        async with opened[0].reading() as transaction:
            assert (await transaction.execute(text("PRAGMA journal_mode"))).scalar_one() == "wal"
        for database in opened:
            await database.close()


async def _insert_one(database: Database) -> None:
    async with database.transaction() as transaction:
        await transaction.execute(text("INSERT INTO t VALUES (1)"))


async def test_several_writes_at_once_are_all_made(database: Database) -> None:
    await fill(database, [row(1), row(2), row(3)])
    named = ("tenant", "number", "at_ms", "name")
    async with database.transaction() as transaction:
        await transaction.write_all(
            [
                Write(Action.INSERT, things, ALL, [row(4)]),
                Write(Action.UPSERT, things, named, [("shop", 1, 7, "upserted"), ("shop", 5, 8, "inserted")]),
                Write(Action.UPDATE, things, ("tenant", "number", "name"), [("shop", 2, "updated"), ("none", 2, "no")]),
                Write(Action.DELETE, things, KEY, [("shop", 3), ("none", 3)]),
                Write(Action.INSERT_NEW, things, ALL, []),
            ]
        )
        await transaction.write_all([Write(Action.INSERT_NEW, things, ALL, [row(4, name="again"), row(6)])])
        await transaction.write_all([])
    found = [(number, name) for _, number, _, _, name, *_ in await all_rows(database)]
    assert found == [(1, "upserted"), (2, "updated"), (4, "n"), (5, "inserted"), (6, "n")]


async def test_of_several_writes_a_refused_one_undoes_all(database: Database) -> None:
    await fill(database, [row(1)])
    with pytest.raises(DatabaseRefused):
        async with database.transaction() as transaction:
            await transaction.write_all(
                [Write(Action.INSERT, things, ALL, [row(2)]), Write(Action.INSERT, things, ALL, [row(1)])]
            )
    assert await all_rows(database) == [row(1)]
