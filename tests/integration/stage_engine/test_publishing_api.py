"""Publishing over HTTP changes the rules of a running engine; what can't be published is refused with its place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic, process_time
from typing import Any

import pytest
from sqlalchemy import text as sql

from services.stage_engine.definitions.registering import register
from services.stage_engine.store import tables
from services.stage_engine.store.publications import Publication, add
from shared.contracts.times import now_ms
from shared.db.port import Database
from tests.integration.stage_engine.events import append, purchase
from tests.integration.stage_engine.observing import path, rows, until, until_handled
from tests.integration.stage_engine.serving import Served, served, unregistered
from tests.integration.stage_engine.stack import Stack

CLUB = """lifecycle: club
start: guest
stages: {guest: {order: 1}, member: {order: 2}, gold: {order: 3, end: true}}
transitions:
  - {id: joined, from: guest, to: member, on: purchase}
"""
BY_COUNT = CLUB + '  - {id: many, from: member, to: gold, when: "facts.orders >= 3"}\n'
RENAMED = BY_COUNT.replace("member", "friend")
PUBLICATIONS = "/v1/lifecycles/club/publications"


@pytest.fixture
def file(tmp_path: Path) -> str:
    written = tmp_path / "club.yaml"
    written.write_text(CLUB)
    return str(written)


@pytest.fixture
async def api(sql_stack: Stack, file: str) -> AsyncIterator[Served]:
    async with served(sql_stack, lifecycles=(file,)) as api:
        await until_handled(api.resources.database, api.resources.log)
        yield api


async def post(api: Served, status: int = 202, at: str = PUBLICATIONS, **given: Any) -> Any:
    body = {"message": "a test", **given}
    return (await api.ask("POST", at, api.publisher, status, json=body)).json()


async def test_what_is_published_holds_for_events_and_for_those_who_send_nothing(stack: Stack, file: str) -> None:
    async with served(stack, lifecycles=(file,)) as api:
        database, log = api.resources.database, api.resources.log
        await append(log, [purchase("ana", f"a{number}") for number in range(3)])
        await append(log, [purchase("rui", "r0")])
        await until_handled(database, log)
        assert await path(database, "ana", "club") == ["guest", "member"]
        told = await post(api, text=BY_COUNT, notify=True, author="Bia")
        assert (told["lifecycle"], told["version"], told["number"], told["new"]) == ("club", 2, 2, True)
        assert (told["message"], told["author"], told["notify"], told["migrate"]) == ("a test", "Bia", True, {})

        async def moved() -> bool:
            return await path(database, "ana", "club") == ["guest", "member", "gold"]

        await until(moved, "the sweep has moved who sends nothing")
        await append(log, [purchase("rui", "r1"), purchase("rui", "r2")])
        await until_handled(database, log)
        assert await path(database, "rui", "club") == ["guest", "member", "gold"]
        shown = (await api.get("/v1/lifecycles/club"))["publications"][0]
        assert shown == {name: value for name, value in told.items() if name != "new"}


async def test_an_earlier_version_is_published_by_its_number(api: Served) -> None:
    assert (await post(api, text=BY_COUNT))["version"] == 2
    back = await post(api, version=1, message="too strict")
    assert (back["version"], back["number"], back["new"]) == (1, 3, True)
    assert (await api.get("/v1/lifecycles/club"))["text"] == CLUB
    database, log = api.resources.database, api.resources.log
    await append(log, [purchase("ana", f"a{number}") for number in range(3)])
    await until_handled(database, log)
    assert await path(database, "ana", "club") == ["guest", "member"]


async def test_the_same_once_more_publishes_nothing_and_says_so(api: Served) -> None:
    first = await post(api, text=BY_COUNT)
    again = await post(api, text=BY_COUNT, message="once more")
    assert again == {**first, "new": False}
    assert await post(api, version=2) == {**first, "new": False}


async def test_the_author_is_the_key_unless_told(api: Served) -> None:
    assert (await post(api, text=BY_COUNT))["author"] == api.publisher.id


async def test_a_lost_stage_is_refused_with_what_to_add_and_then_taken(api: Served) -> None:
    refused = await post(api, 422, text=RENAMED)
    (error,) = refused["errors"]
    assert error["pointer"] == "/migrate"
    assert "has no stage member any more" in error["detail"]
    assert '"migrate": {"old": "new"}' in error["advice"]
    (wrong,) = (await post(api, 422, text=RENAMED, migrate={"member": "pal"}))["errors"]
    assert "migrate leads to pal" in wrong["detail"]
    await append(api.resources.log, [purchase("ana", "a0")])
    await until_handled(api.resources.database, api.resources.log)
    assert (await post(api, text=RENAMED, migrate={"member": "friend"}))["migrate"] == {"member": "friend"}

    async def moved() -> bool:
        return await path(api.resources.database, "ana", "club") == ["guest", "member", "friend"]

    await until(moved, "the customer is where migrate says")


async def test_what_is_wrong_in_a_text_has_line_and_column_and_nothing_is_stored(api: Served) -> None:
    refused = await post(api, 422, text=BY_COUNT.replace("facts.orders", "facts.ordres").replace("to: member", "to: x"))
    assert [(each["pointer"], each["line"], each["column"]) for each in refused["errors"]] == [
        ("/text", 5, 35),
        ("/text", 6, 47),
    ]
    assert "unknown fact `facts.ordres`" in refused["errors"][1]["detail"]
    assert len(await rows(api.resources.database, tables.lifecycles)) == 1
    other = "transitions:\n  - {id: a, from: guest, to: member, when: \"stages.nothing == 'x'\"}\n"
    (unfit,) = (await post(api, 422, text=CLUB.partition("transitions:")[0] + other))["errors"]
    assert "there is no active lifecycle `nothing`" in unfit["detail"]
    assert unfit["line"] == 5


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({}, "", "one of the two"),
    ({"text": CLUB, "version": 1}, "", "one of the two"),
    ({"version": 9}, "/version", "club has no version 9"),
    ({"version": 0}, "/version", "greater than or equal to 1"),
    ({"text": CLUB, "message": ""}, "/message", "at least 1 character"),
    ({"text": CLUB, "message": "a\x00b"}, "/message", "match pattern"),
    ({"text": CLUB, "notify": "yes"}, "/notify", "valid boolean"),
    ({"text": CLUB, "migrate": {"Old!": "new"}}, "/migrate", "'Old!' can't be a stage's key"),
    ({"text": CLUB, "txt": "a"}, "/txt", "there is no such field"),
    ({"text": CLUB.replace("club", "pub")}, "/text", "this is the lifecycle pub, not club"),
    ({"text": "a: &a [x]\nb: [*a, *a]\n"}, "/text", "aliases are not allowed"),
    ({"text": "[" * 200_000}, "/text", "nested more than 50 deep"),
    ({"text": "x" * 300_000}, "/text", "larger than 256 KiB"),
    ({"text": "lifecycle: a\x00"}, "/text", "no YAML"),
]


async def test_what_can_not_be_published_is_refused_in_under_a_second_with_its_place(api: Served) -> None:
    for given, pointer, told in REFUSED:
        began = process_time()
        refused = await post(api, 422, **given)
        assert process_time() - began < 1.0, told
        (error,) = refused["errors"]
        assert (error["pointer"], told in error["detail"]) == (pointer, True), refused
    assert "larger" not in (await post(api, 413, text="x" * 10_000_000))["detail"]
    assert len(await rows(api.resources.database, tables.publications)) == 1


async def test_bodies_that_are_no_json_are_refused(api: Served) -> None:
    for body in (b"lifecycle: club", b'{"message": "\\ud800", "version": 1}', b"\xff", b"[]", b"[" * 100_000):
        await api.ask("POST", PUBLICATIONS, api.publisher, 422, content=body)


async def test_a_lifecycle_that_nobody_runs_is_not_found(api: Served) -> None:
    refused = await post(api, 404, at="/v1/lifecycles/clubs/publications", text=CLUB)
    assert 'did you mean "club"?' in refused["detail"]


async def test_publishing_needs_a_right_of_its_own(api: Served) -> None:
    for key in (api.reader, api.writer, api.admin, api.other_admin):
        refused = await api.ask("POST", PUBLICATIONS, key, 403, json={"message": "m", "text": BY_COUNT})
        assert "lifecycles:publish" in refused.json()["detail"]
    assert (await api.client.post(PUBLICATIONS, json={"message": "m", "text": BY_COUNT})).status_code == 401
    assert (await api.get("/v1/lifecycles/club"))["version"] == 1


async def test_with_the_log_away_it_is_stored_and_the_same_request_tells_the_partitions_later(
    sql_stack: Stack, file: str
) -> None:
    away = {"log": "kafka", "kafka_bootstrap": "127.0.0.1:9", "append_timeout_seconds": 0.3, "lifecycles": (file,)}
    async with unregistered(sql_stack, **away) as api:
        await register(api.resources.database, (file,), now_ms())
        for given in ({"text": BY_COUNT}, {"text": BY_COUNT}, {"version": 2}):
            began = monotonic()
            refused = await api.ask("POST", PUBLICATIONS, api.publisher, 503, json={"message": "a test", **given})
            assert monotonic() - began < 6.0
            assert refused.headers["retry-after"] == "1"
            assert "stored" in refused.json()["detail"]
            assert "send the same request again" in refused.json()["detail"]
    async with served(sql_stack, lifecycles=(file,)) as api:
        await append(api.resources.log, [purchase("ana", "a0")])
        assert (await post(api, text=BY_COUNT))["new"] is False
        await until_handled(api.resources.database, api.resources.log)
        told = {row["version"] for row in await rows(api.resources.database, tables.activations)}
        assert 2 in told


async def test_who_publishes_at_the_same_moment_as_somebody_else_is_told(postgres_url: str, file: str) -> None:
    stack = Stack(postgres_url)
    await stack.create()
    async with unregistered(stack) as api:
        database = api.resources.database
        await register(database, (file,), now_ms())
        async with database.transaction() as somebody:
            theirs = Publication("theirs", "club", 2, 1, "first", "somebody", now_ms())
            assert await add(somebody, theirs)
            asking = asyncio.create_task(post(api, 409, text=BY_COUNT))
            await until(lambda: _somebody_waits(database), "the request waits for the other one")
        refused = await asking
        assert refused["type"] == "urn:jornada:problem:conflict"
        assert len(await rows(database, tables.lifecycles)) == 1
        assert (await api.get("/v1/lifecycles/club"))["publications"][0]["publish_id"] == "theirs"


async def _somebody_waits(database: Database) -> bool:
    async with database.reading() as transaction:
        return bool((await transaction.execute(sql("SELECT count(*) FROM pg_locks WHERE NOT granted"))).scalar_one())
