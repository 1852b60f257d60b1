"""A lifecycle changes while events come: each customer by the rules of the day, and living it again gives the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text as statement

from services.stage_engine import looking_back
from services.stage_engine.definitions.definition import load_definition
from services.stage_engine.definitions.registering import register
from services.stage_engine.definitions.yaml_source import DefinitionError
from services.stage_engine.looking_back import PastLives
from services.stage_engine.publications import catching_up
from services.stage_engine.publications.publishing import Request, publish, roll_back
from services.stage_engine.store import tables
from services.stage_engine.store.customers import CustomerKey
from shared.contracts.stage_changed import PublishedCause
from shared.contracts.times import now_ms
from shared.db.port import Database, DatabaseConflict, Transaction
from shared.service import Resources
from tests.integration.stage_engine.engines import engine_running
from tests.integration.stage_engine.events import append, customers_in, purchase, visit
from tests.integration.stage_engine.observing import differences, path, published_changes, rows, until, until_handled
from tests.integration.stage_engine.stack import Stack

PLAIN = """
lifecycle: club
start: guest
stages: {guest: {order: 1}, member: {order: 2}, gold: {order: 3}}
transitions:
  - {id: joined, from: guest, to: member, on: purchase}
"""
BY_COUNT = PLAIN.replace("stages:", "facts: {bought: {count: purchase}}\nstages:") + (
    '  - {id: many, from: member, to: gold, when: "facts.bought >= 3"}\n'
)
RENAMED = BY_COUNT.replace("member", "friend").replace("lifecycle: club", "lifecycle: club\nmigrate: {member: friend}")
SEEN = PLAIN + '  - {id: seen, from: guest, to: member, when: "facts.engagements >= 1"}\n'
QUIET = PLAIN + "  - {id: quiet, from: member, to: guest, after: 1s, demotion: true}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return _written(tmp_path / "club.yaml", PLAIN)


def _written(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


async def _publish(resources: Resources, file: Path, text: str, *, notify: bool = False) -> None:
    definition = load_definition(_written(file, text))
    await publish(resources.database, resources.log, definition, Request("a test", "tester", now_ms(), notify))


async def _until_swept(resources: Resources) -> None:
    """Every customer has met every activation of their partition."""
    await until_handled(resources.database, resources.log)

    async def swept() -> bool:
        reached = {row["partition"]: row["activation"] for row in await rows(resources.database, tables.progress)}
        stored = await rows(resources.database, tables.customers)
        return all(row["activation"] == reached[row["partition"]] for row in stored)

    await until(swept, "customers have met what was published")


async def _changes(resources: Resources, name: str) -> list[dict[str, Any]]:
    kept = await rows(resources.database, tables.stage_changes, customer_id=name)
    return [msgspec.json.decode(row["data"]) for row in sorted(kept, key=lambda row: row["sequence"])]


async def test_a_new_fact_counts_what_happened_before_and_moves_those_who_send_nothing(
    stack: Stack, file: Path
) -> None:
    async with stack.process(lifecycles=(str(file),)) as resources, engine_running(resources):
        await append(resources.log, [purchase("ana", f"a{number}") for number in range(4)])
        await append(resources.log, [purchase("rui", "r1")])
        await until_handled(resources.database, resources.log)
        await _publish(resources, file, BY_COUNT)
        await _until_swept(resources)
        assert await path(resources.database, "ana", "club") == ["guest", "member", "gold"]
        assert await path(resources.database, "rui", "club") == ["guest", "member"]
        last = (await _changes(resources, "ana"))[-1]
        assert (last["transition"], last["facts"], last["lifecycle_version"]) == ("many", {"bought": 4}, 2)
        assert (last["cause"]["kind"], last["mode"]) == ("published", "backfill")
        await append(resources.log, [purchase("rui", "r2"), purchase("rui", "r3")])
        await until_handled(resources.database, resources.log)
        assert await path(resources.database, "rui", "club") == ["guest", "member", "gold"]
        assert (await _changes(resources, "rui"))[-1]["mode"] == "live"
        assert await differences(resources) == []


async def test_with_notify_what_is_published_is_live(sql_stack: Stack, file: Path) -> None:
    async with sql_stack.process(lifecycles=(str(file),)) as resources, engine_running(resources):
        await append(resources.log, [purchase("ana", f"a{number}") for number in range(4)])
        await until_handled(resources.database, resources.log)
        await _publish(resources, file, BY_COUNT, notify=True)
        await _until_swept(resources)
        assert (await _changes(resources, "ana"))[-1]["mode"] == "live"


async def test_customers_of_a_renamed_stage_go_where_migrate_says(sql_stack: Stack, file: Path) -> None:
    async with sql_stack.process(lifecycles=(str(file),)) as resources, engine_running(resources):
        await append(resources.log, [purchase("ana", "a1"), visit("rui")])
        await until_handled(resources.database, resources.log)
        await _publish(resources, file, RENAMED)
        await _until_swept(resources)
        assert await path(resources.database, "ana", "club") == ["guest", "member", "friend"]
        moved = (await _changes(resources, "ana"))[-1]
        assert (moved["transition"], moved["from"], moved["entry"]) == (None, "member", 1)
        assert await path(resources.database, "rui", "club") == ["guest"]
        assert await differences(resources) == []


async def test_a_wait_that_a_new_version_brings_goes_off_for_those_who_were_there_before(
    sql_stack: Stack, file: Path
) -> None:
    async with sql_stack.process(lifecycles=(str(file),)) as resources, engine_running(resources):
        await append(resources.log, [purchase("ana", "a1")])
        await until_handled(resources.database, resources.log)
        await _publish(resources, file, QUIET.replace("lifecycle: club", "lifecycle: club\nlateness: 1s"))

        async def went_quiet() -> bool:
            return await path(resources.database, "ana", "club") == ["guest", "member", "guest"]

        await until(went_quiet, "the new wait is over", 20)
        assert await differences(resources) == []


async def test_rolling_back_brings_the_rules_of_before(sql_stack: Stack, file: Path) -> None:
    async with sql_stack.process(lifecycles=(str(file),)) as resources, engine_running(resources):
        await _publish_after_one_purchase(resources, file)
        await roll_back(resources.database, resources.log, "club", None, Request("no", "tester", now_ms()))
        await _until_swept(resources)
        await append(resources.log, [purchase("ana", "a2"), purchase("ana", "a3")])
        await until_handled(resources.database, resources.log)
        assert await path(resources.database, "ana", "club") == ["guest", "member"]
        assert await differences(resources) == []


async def _publish_after_one_purchase(resources: Resources, file: Path) -> None:
    await append(resources.log, [purchase("ana", "a1")])
    await until_handled(resources.database, resources.log)
    await _publish(resources, file, BY_COUNT)
    await _until_swept(resources)


async def test_publishing_under_load_loses_no_event_and_everyone_ends_by_the_newest_rules(
    stack: Stack, file: Path
) -> None:
    names = [f"c{number}" for number in range(60)]
    async with stack.process(lifecycles=(str(file),), batch_records=23) as resources:
        async with engine_running(resources):
            await append(resources.log, [visit(names[0])])
            await until_handled(resources.database, resources.log)
            for turn, text in enumerate((BY_COUNT, QUIET, BY_COUNT, PLAIN)):
                sending = asyncio.create_task(
                    append(resources.log, [purchase(name, f"{name}-{turn}") for name in names])
                )
                await _publish(resources, file, text)
                await sending
            await _until_swept(resources)
        assert len(await rows(resources.database, tables.history)) == len(names) * 4 + 1
        assert {row["version"] for row in await rows(resources.database, tables.activations)} >= {1, 2, 3}
        assert await differences(resources) == []
        for name in names:
            changes = await _changes(resources, name)
            assert [each["sequence"] for each in changes] == list(range(1, len(changes) + 1))


async def test_a_publication_that_moves_everybody_lets_events_that_came_after_it_go_between(
    sql_stack: Stack, file: Path
) -> None:
    """The partition's outbox is written in the order of its transactions, so its topic tells what was done when."""
    names, fresh = customers_in(0, 1_000), customers_in(0, 5, "fresh")
    async with sql_stack.process(lifecycles=(str(file),)) as resources:
        async with engine_running(resources):
            await append(resources.log, [visit(name) for name in names])
            await until_handled(resources.database, resources.log)
        await _publish(resources, file, SEEN)
        await append(resources.log, [visit(name) for name in fresh])
    # The next engine finds the publication and what came after it together in the log, and takes one event at a time: so
    # there are events waiting all the while.
    async with sql_stack.process(lifecycles=(str(file),), batch_records=1) as resources:
        async with engine_running(resources):
            await _until_swept(resources)
            await until_handled(resources.database, resources.log)
        told = [change for _, change in await published_changes(resources.log)]
        moved = [place for place, change in enumerate(told) if isinstance(change.cause, PublishedCause)]
        came = [place for place, change in enumerate(told) if change.customer_id in fresh]
        assert len(moved) == len(names)
        assert any(min(came) < place < max(came) for place in moved), (
            "nobody was swept while events were waiting: with events all the time nobody ever would be"
        )
        met_before = sum(place < min(came) for place in moved)
        assert met_before <= len(names) // 2, "events waited until most customers had met what was published"
        assert max(came) < max(moved), "and all of them were applied while customers were left"


@pytest.mark.parametrize("awake", [False, True], ids=["swept", "touched"])
async def test_however_many_long_lives_meet_a_new_fact_no_transaction_looks_back_on_too_much(
    sql_stack: Stack, file: Path, monkeypatch: pytest.MonkeyPatch, awake: bool
) -> None:
    names = [*customers_in(0, 9), *customers_in(1, 3)]
    looked_at: list[int] = []

    async def look_back(transaction: Transaction, due: Collection[CustomerKey]) -> PastLives:
        lives = await looking_back.look_back(transaction, due)
        looked_at.append(sum(map(len, lives.lived.values())))
        return lives

    async with sql_stack.process(lifecycles=(str(file),)) as resources:
        async with engine_running(resources):
            await append(resources.log, [purchase(name, f"{name}-{turn}") for name in names for turn in range(3)])
            await until_handled(resources.database, resources.log)
        monkeypatch.setattr(looking_back, "_MOST_AT_ONCE", 12)
        monkeypatch.setattr(catching_up, "look_back", look_back)
        await _publish(resources, file, BY_COUNT)
        if awake:
            await append(resources.log, [visit(name) for name in names])
        async with engine_running(resources):
            await _until_swept(resources)
        for name in names:
            assert await path(resources.database, name, "club") == ["guest", "member", "gold"]
        assert await differences(resources) == []
    assert 0 < max(looked_at) <= 12


async def test_a_control_record_told_twice_counts_once(sql_stack: Stack, file: Path) -> None:
    async with sql_stack.process(lifecycles=(str(file),)) as resources, engine_running(resources):
        await _publish_after_one_purchase(resources, file)
        await _publish(resources, file, BY_COUNT)
        await until_handled(resources.database, resources.log)
        await _until_swept(resources)
        assert {row["activation"] for row in await rows(resources.database, tables.progress)} == {1}


async def test_a_lifecycle_that_is_listed_later_begins_for_everybody_with_the_facts_of_their_history(
    sql_stack: Stack, file: Path, tmp_path: Path
) -> None:
    later = _written(tmp_path / "later.yaml", BY_COUNT.replace("lifecycle: club", "lifecycle: later"))
    async with sql_stack.process(lifecycles=(str(file),)) as resources, engine_running(resources):
        await append(resources.log, [purchase("ana", f"a{number}") for number in range(3)])
        await until_handled(resources.database, resources.log)
    async with sql_stack.process(lifecycles=(str(file), str(later))) as resources, engine_running(resources):
        await append(resources.log, [visit("rui")])
        await until_handled(resources.database, resources.log)
        await append(resources.log, [purchase("ana", "a4")])
        await until_handled(resources.database, resources.log)
        assert await path(resources.database, "ana", "later") == ["guest", "member", "gold"]
        assert await differences(resources) == []


@asynccontextmanager
async def _held_until_waiting(database: Database, number: int) -> AsyncIterator[None]:
    """Let nobody publish anything before so many have begun to and wait."""
    ours = "datname = current_database() AND wait_event_type = 'Lock'"

    async def waiting() -> bool:
        async with database.reading() as transaction:
            found = await transaction.execute(statement(f"SELECT count(*) FROM pg_stat_activity WHERE {ours}"))
            return bool(found.scalar_one() == number)

    async with database.transaction() as transaction:
        await transaction.execute(statement("LOCK TABLE engine_publications IN EXCLUSIVE MODE"))
        yield
        await until(waiting, "all wait")


async def _at_once(resources: Resources, files: Sequence[Path]) -> list[object]:
    """What becomes of publishing some files at the same time."""
    publishing = []
    async with _held_until_waiting(resources.database, len(files)):
        for file in files:
            wish = Request("a test", file.name, now_ms())
            calls = publish(resources.database, resources.log, load_definition(file), wish)
            publishing.append(asyncio.create_task(calls))
    return list(await asyncio.gather(*publishing, return_exceptions=True))


@pytest.fixture
async def on_postgres(postgres_url: str) -> Stack:
    chosen = Stack(postgres_url)
    await chosen.create()
    return chosen


async def test_of_two_who_publish_one_lifecycle_at_once_one_is_told_to_look_again(
    on_postgres: Stack, file: Path, tmp_path: Path
) -> None:
    texts = {"count.yaml": BY_COUNT, "quiet.yaml": QUIET}
    async with on_postgres.process() as resources:
        await register(resources.database, (str(file),), now_ms())
        found = await _at_once(resources, [_written(tmp_path / name, text) for name, text in texts.items()])
        kept = await rows(resources.database, tables.publications, lifecycle="club")
        bodies = {row["version"]: row["body"] for row in await rows(resources.database, tables.lifecycles)}
    assert [type(each) for each in found if isinstance(each, Exception)] == [DatabaseConflict]
    authors = {row["number"]: row["author"] for row in kept}
    assert authors.keys() == {1, 2}
    assert bodies == {1: PLAIN, 2: texts[authors[2]]}, "what is published is the text of whoever was not refused"


async def test_two_who_publish_at_once_do_not_make_lifecycles_read_each_other_in_a_circle(
    on_postgres: Stack, file: Path, tmp_path: Path
) -> None:
    other = _written(tmp_path / "other.yaml", PLAIN.replace("lifecycle: club", "lifecycle: other"))
    async with on_postgres.process() as resources:
        await register(resources.database, (str(file), str(other)), now_ms())
        for each, read in ((file, "other"), (other, "club")):
            edge = f"  - {{id: too, from: member, to: gold, when: \"stages.{read} == 'member'\"}}\n"
            _written(each, each.read_text() + edge)
        found = await _at_once(resources, [file, other])
    refused = [each for each in found if isinstance(each, Exception)]
    assert [type(each) for each in refused] == [DefinitionError]
    assert "circle" in str(refused[0])
