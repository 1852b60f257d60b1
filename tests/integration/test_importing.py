"""`jornada import` as a process of its own, against a real ingest over HTTP: repeated, killed, refused, and left alone."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from deploy.servers.ports import free_port
from services.ingest.main import build
from services.stage_engine.store import tables
from shared.auth.keys import KeyRequest, Keys
from shared.contracts.cloudevent import CloudEvent, decode
from shared.contracts.topics import Topic
from shared.db.port import Database
from shared.http.app import create_app
from shared.http.server import running
from shared.log.port import Log, LogUnavailable, Message, Position
from shared.service import Resources
from shared.settings import Settings
from tests.fakes_log import FakeLog, FakeProducer
from tests.integration.ingest_process import create_tables, open_database, sqlite_url
from tests.integration.stage_engine.engines import engine_running
from tests.integration.stage_engine.observing import count, path, published, rows, until_handled
from tests.integration.stage_engine.stack import Stack
from tests.system.commands import JORNADA, environment
from tests.unit.cli.importing.test_dry_run import block

SCOPES = ("events:write", "events:backfill")


class FalteringProducer(FakeProducer):
    """Takes a few requests, and then none until it is told to."""

    def __init__(self, takes: int) -> None:
        super().__init__()
        self.takes = takes

    async def append(self, topic: Topic, messages: Sequence[Message]) -> list[Position]:
        if self.takes == 0:
            raise LogUnavailable("no room")
        self.takes -= 1
        return await super().append(topic, messages)


class FalteringLog(FakeLog):
    def __init__(self, takes: int) -> None:
        super().__init__()
        self.only_producer = FalteringProducer(takes)
        self.faltering = self.only_producer

    def events(self) -> list[CloudEvent]:
        return [decode(message.value or b"") for _, message in self.only_producer.appended]


@asynccontextmanager
async def ingest(database: Database, log: Log, port: int = 0) -> AsyncIterator[str]:
    """Ingest on a port; gives its address."""
    settings = Settings(http_port=port, append_timeout_seconds=1)
    resources = Resources(settings, database, log)
    service = build(resources)
    async with running(create_app([service], resources), [service], settings) as address:
        yield address


async def key(database: Database, *scopes: str) -> str:
    return (await Keys(database, "BRL").create(KeyRequest("acme", scopes or SCOPES))).token


class Started:
    """`jornada import …` at work, in a folder."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def begin(cls, folder: Path, token: str, *words: str) -> Started:
        given = environment(key=token)
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable, *JORNADA, "import", *words, cwd=folder, env=given, stdout=-1, stderr=-1
            )
        )

    async def said_on_stderr(self, words: str) -> None:
        """Until it says something there."""
        assert self._process.stderr is not None
        said = ""
        async with asyncio.timeout(40):
            while words not in said:
                line = (await self._process.stderr.readline()).decode()
                assert line, f"ended after {said}"
                said += line

    async def end(self, number: signal.Signals | None = None) -> tuple[int, str, str]:
        """Its exit code and what it said, at once by a signal or when it is done."""
        if number is not None:
            self._process.send_signal(number)
        async with asyncio.timeout(60):
            out, errors = await self._process.communicate()
        assert self._process.returncode is not None
        return self._process.returncode, out.decode(), errors.decode()


async def imported(folder: Path, token: str, *words: str) -> tuple[int, str, str]:
    return await (await Started.begin(folder, token, *words)).end()


def visits(folder: Path, number: int) -> list[str]:
    """Writes visits of a few customers in the file's own order, latest first; gives the ids in the order of time."""
    folder.joinpath("visits.jsonl").write_text(
        "".join(
            json.dumps(
                {
                    "id": f"v-{index}",
                    "type": "engagement",
                    "customer_id": f"c-{index % 7}",
                    "time": f"2026-01-{1 + index // 1440:02}T{index // 60 % 24:02}:{index % 60:02}:00Z",
                    "data": {"channel": "visit"},
                }
            )
            + "\n"
            for index in reversed(range(number))
        )
    )
    return [f"v-{index}" for index in range(number)]


def in_lives(events: Sequence[CloudEvent]) -> dict[str, list[str]]:
    """The ids of each customer in the order in which they came, customers one after the other."""
    assert len([who for who, _ in groupby(event.subject for event in events)]) == len(
        {event.subject for event in events}
    )
    return {who: [event.id for event in events if event.subject == who] for who in {event.subject for event in events}}


def in_lives_of(ids: Sequence[str]) -> dict[str, list[str]]:
    """The same for ids of `visits`."""
    return {f"c-{who}": [each for each in ids if int(each[2:]) % 7 == who] for who in range(min(7, len(ids)))}


def state(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "visits.jsonl.import-state.json").read_bytes())
    return found


def beside(folder: Path) -> set[str]:
    """What lies there of the import."""
    return {each.name for each in folder.glob("visits*")}


async def test_an_import_that_is_posted_twice_counts_once(tmp_path: Path) -> None:
    """The guide's own example: the log has every event twice under one id, and the engine applies each once."""
    (tmp_path / "pedidos.csv").write_text(block("csv"), encoding="utf-8")
    (tmp_path / "pedidos.yaml").write_text(block("yaml"), encoding="utf-8")
    stack = Stack(sqlite_url(tmp_path))
    await stack.create()
    await create_tables(stack.database_url)
    async with stack.process() as resources, ingest(resources.database, resources.log) as url:
        token = await key(resources.database)
        words = ("pedidos.csv", "--map", "pedidos.yaml", "--url", url)
        async with engine_running(resources):
            for again in ((), ("--restart",)):
                code, out, errors = await imported(tmp_path, token, *words, *again)
                assert (code, "posted 4 events of 2 customers" in out) == (0, True), out + errors
                await until_handled(resources.database, resources.log)
            code, out, _ = await imported(tmp_path, token, *words)
            assert (code, "was imported already" in out) == (0, True), out
        logged = [decode(record.value or b"") for record in await published(resources.log, Topic.EVENTS)]
        assert Counter((one.subject, one.id, one.mode) for one in logged) == {
            ("ana@example.com", "order-1001-paid", "backfill"): 2,
            ("ana@example.com", "order-1004-paid", "backfill"): 2,
            ("bia@example.com", "order-1003-paid", "backfill"): 2,
            ("bia@example.com", "order-1003-refunded", "backfill"): 2,
        }
        assert await count(resources.database, tables.history) == 4
        assert await rows(resources.database, tables.dead_letters) == []
        assert (await path(resources.database, "ana@example.com"))[:3] == [
            "prospect", "first_time_customer", "repeat_customer",
        ]  # fmt: skip
        kept = {row["customer_id"]: row["state"] for row in await rows(resources.database, tables.customers)}
        assert b'"revenue":129356' in kept["ana@example.com"]
        assert b'"revenue":10000' in kept["bia@example.com"]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(sqlite_url(tmp_path)) as opened:
        yield opened


async def test_an_import_that_was_killed_goes_on_where_it_was(tmp_path: Path, database: Database) -> None:
    expected, token, log = visits(tmp_path, 1_700), await key(database), FalteringLog(takes=2)
    async with ingest(database, log) as url:
        words = ("visits.jsonl", "--url", url)
        first = await Started.begin(tmp_path, token, *words)
        await first.said_on_stderr("waiting for it")
        assert (await first.end(signal.SIGKILL))[0] == -signal.SIGKILL
        assert (state(tmp_path)["posted"], state(tmp_path)["finished_at"]) == (1_000, None)
        assert beside(tmp_path) == {"visits.jsonl", "visits.jsonl.import-state.json"}
        second = await Started.begin(tmp_path, token, *words)
        await second.said_on_stderr("waiting for it")
        code, _, errors = await second.end(signal.SIGINT)
        assert (code, "the same command goes on where it was" in errors) == (130, True), errors
        log.faltering.takes = -1
        code, out, errors = await imported(tmp_path, token, *words)
    assert code == 0, errors
    assert "posted 700 events" in out
    assert "1,000 were posted before" in out
    assert in_lives(log.events()) == in_lives_of(expected)


async def test_a_changed_file_is_refused_while_its_import_is_not_finished(tmp_path: Path, database: Database) -> None:
    visits(tmp_path, 700)
    token, log = await key(database), FalteringLog(takes=1)
    async with ingest(database, log) as url:
        first = await Started.begin(tmp_path, token, "visits.jsonl", "--url", url)
        await first.said_on_stderr("waiting for it")
        await first.end(signal.SIGKILL)
        expected = visits(tmp_path, 701)
        log.faltering.takes = -1
        code, _, errors = await imported(tmp_path, token, "visits.jsonl", "--url", url)
        assert (code, "the file changed" in errors) == (1, True), errors
        assert len(log.events()) == 500
        code, _, errors = await imported(tmp_path, token, "visits.jsonl", "--url", url, "--restart")
    assert code == 0, errors
    assert in_lives(log.events()[500:]) == in_lives_of(expected)


async def test_a_server_that_goes_away_and_comes_back_is_waited_for(tmp_path: Path, database: Database) -> None:
    expected, token, log, port = visits(tmp_path, 1_200), await key(database), FalteringLog(takes=1), free_port()
    async with ingest(database, log, port) as url:
        import_ = await Started.begin(tmp_path, token, "visits.jsonl", "--url", url)
        await import_.said_on_stderr("it answers 503")
    await import_.said_on_stderr("ConnectError")
    log.faltering.takes = -1
    async with ingest(database, log, port):
        code, out, errors = await import_.end()
    assert (code, "posted 1,200 events of 7 customers" in out) == (0, True), errors
    assert in_lives(log.events()) == in_lives_of(expected)


async def test_one_bad_line_keeps_everything_from_being_posted_until_it_is_left_out(
    tmp_path: Path, database: Database
) -> None:
    token, log = await key(database), FalteringLog(takes=-1)
    visits(tmp_path, 3)
    with (tmp_path / "visits.jsonl").open("a") as file:
        file.write(
            '{"id": "p-1", "type": "purchase", "customer_id": "c-1", "time": "2026-01-09T00:00:00Z", "data": {}}\n'
        )
    async with ingest(database, log) as url:
        code, out, errors = await imported(tmp_path, token, "visits.jsonl", "--url", url)
        assert code == 1
        assert "error visits.jsonl:4: /data/order_id: it is required (add it)" in out
        assert "nothing was posted" in errors
        assert log.events() == []
        code, out, errors = await imported(
            tmp_path, token, "visits.jsonl", "--url", url, "--skip-bad", "--format", "json"
        )
    assert code == 0, errors
    told = json.loads(out)
    assert (told["posted"], told["refused"], told["bad_lines"]) == (3, 0, 1)
    listed = [json.loads(line) for line in (tmp_path / "visits.jsonl.rejected.jsonl").read_text().splitlines()]
    assert {each["line"] for each in listed} == {4}
    assert listed == told["errors"]


@pytest.mark.parametrize(
    ("scopes", "words"), [(("events:write",), "lacks the scope events:backfill"), (("customers:read",), "answered 403")]
)
async def test_a_key_without_its_scopes_is_one_clear_message(
    tmp_path: Path, database: Database, scopes: tuple[str, ...], words: str
) -> None:
    visits(tmp_path, 3)
    log = FalteringLog(takes=-1)
    async with ingest(database, log) as url:
        code, _, errors = await imported(tmp_path, await key(database, *scopes), "visits.jsonl", "--url", url)
        assert (code, words in errors, "--scope events:write --scope events:backfill" in errors) == (1, True, True), (
            errors
        )
        assert (await imported(tmp_path, "jrn_0.x", "visits.jsonl", "--url", url))[0] == 1
        other = await Started.begin(tmp_path, "", "visits.jsonl", "--url", url)
        assert "JORNADA_KEY holds no API key" in (await other.end())[2]
        (tmp_path / "key").write_text(f"{await key(database)}\n")
        done = await imported(tmp_path, "", "visits.jsonl", "--url", url, "--key-file", "key")
    assert done[0] == 0, done[2]
    assert len(log.events()) == 3
