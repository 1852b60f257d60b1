"""Moves by hand over HTTP: taken into the log, decided in their turn, told with what became of them, and lived again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from fastapi import APIRouter
from sqlalchemy import select

from services.stage_engine.api.moves import moves_router
from services.stage_engine.domain.by_hand import MANUAL_MOVE
from services.stage_engine.store import tables
from shared.auth.keys import KeyRequest, Keys
from shared.contracts.cloudevent import BACKFILL, decode
from shared.contracts.dead_letters import DeadLetterReason
from shared.contracts.stage_changed import ManualCause, RecomputedCause
from shared.contracts.times import DAY_MS, now_ms, to_text
from shared.contracts.topics import Topic
from shared.errors import Transient
from shared.http.app import create_app
from shared.log.port import LogUnavailable, Producer
from shared.service import Check, Resources
from tests.fakes_log import FakeProducer
from tests.integration.stage_engine.engines import engine_running, lifecycle_file
from tests.integration.stage_engine.events import TRACE, Given, append, message, purchase, signup, visit
from tests.integration.stage_engine.observing import (
    changes,
    differences,
    of_customer,
    path,
    published,
    published_changes,
    rows,
    until,
    until_handled,
)
from tests.integration.stage_engine.serving import Served, served, unregistered
from tests.integration.stage_engine.stack import Stack

ANA = "/v1/customers/ana"
ASKED = {"to": "safe", "reason": "won a prize", "author": "Eva"}


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, ...]:
    """`club`, the default: a member who has bought is gold; and `tier`, where only people move anybody up."""
    gold = 'id: pays, from: member, to: gold, when: "facts.orders >= 1"'
    club = lifecycle_file(
        tmp_path, "club", "id: joined, from: guest, to: member, on: purchase", gold, stages="guest member gold safe"
    )
    tier = lifecycle_file(
        tmp_path, "tier", "id: lapsed, from: golden, to: silver, on: lapsed, demotion: true", stages="silver golden"
    )
    return (club, tier)


@asynccontextmanager
async def serving(stack: Stack, files: tuple[str, ...], **settings: Any) -> AsyncIterator[Served]:
    """An engine that has heard of three customers, one of them another tenant's."""
    async with served(stack, lifecycles=files, **settings) as api:
        await append(api.resources.log, [visit("ana"), visit("a/b %"), visit("ana", given=Given(tenant="other"))])
        await until_handled(api.resources.database, api.resources.log)
        yield api


@pytest.fixture
async def api(sql_stack: Stack, files: tuple[str, ...]) -> AsyncIterator[Served]:
    async with serving(sql_stack, files) as api:
        yield api


async def post(api: Served, status: int = 202, at: str = ANA, **given: Any) -> Any:
    """Ask for a move: Eva puts Ana into `safe`, unless told otherwise."""
    body = {name: value for name, value in {**ASKED, **given}.items() if value is not None}
    return (await api.ask("POST", f"{at}/move", api.admin, status, json=body)).json()


async def outcome(api: Served, move_id: str, at: str = ANA) -> Any:
    """What became of a move, once everything in the log is handled."""
    await until_handled(api.resources.database, api.resources.log)
    return await api.get(f"{at}/moves/{quote(move_id, safe='')}")


async def test_a_move_is_taken_and_comes_out_as_a_stage_change_that_names_it(
    stack: Stack, files: tuple[str, ...]
) -> None:
    async with serving(stack, files) as api:
        database, log = api.resources.database, api.resources.log
        taken = await post(api)
        assert taken == {"move_id": taken["move_id"], "status": "accepted", "lifecycle": "club", "to": "safe"}
        told = await outcome(api, taken["move_id"])
        last = (await changes(database, "ana"))[-1]
        assert last.data.cause == ManualCause("Eva", "won a prize", taken["move_id"])
        assert (last.data.from_, last.data.to, last.data.direction, last.data.entry) == ("guest", "safe", "up", 1)
        assert (last.data.transition, last.data.mode, last.data.settled) == (None, "live", True)
        assert told == {
            "move_id": taken["move_id"],
            "status": "applied",
            "lifecycle": "club",
            "to": "safe",
            "expected_stage": None,
            "author": "Eva",
            "reason": "won a prize",
            "handled_at": told["handled_at"],
            "sequence": last.data.sequence,
            "refusal": None,
        }
        assert dict(await published_changes(log))[last.change_id].cause == last.data.cause
        newest = of_customer(await published(log, Topic.CUSTOMER_UPDATED), "ana")[-1]
        assert decode(newest.value or b"").data["customer"]["stages"]["club"]["stage"] == "safe"
        assert (await api.get(ANA))["lifecycles"]["club"]["stage"] == "safe"
        assert await differences(api.resources) == []


async def test_a_move_changes_no_fact(api: Served) -> None:
    before = (await api.get(ANA))["facts"]
    await outcome(api, (await post(api))["move_id"])
    assert (await api.get(ANA))["facts"] == before


async def test_a_move_goes_on_by_the_rules_from_the_new_stage(api: Served) -> None:
    await append(api.resources.log, [purchase("ana")])
    await outcome(api, (await post(api, to="safe"))["move_id"])
    told = await outcome(api, (await post(api, to="member", id="m"))["move_id"])
    assert await path(api.resources.database, "ana", "club") == ["guest", "member", "gold", "safe", "member", "gold"]
    first, second = (await changes(api.resources.database, "ana"))[-2:]
    assert [each.data.settled for each in (first, second)] == [False, True]
    assert [each.data.entry for each in (first, second)] == [2, 2]
    assert first.data.sequence == told["sequence"]
    assert first.data.cause == second.data.cause == ManualCause("Eva", "won a prize", "m")
    assert (second.data.transition, second.data.facts) == ("pays", {"orders": 1})
    assert await differences(api.resources) == []


async def test_the_trace_of_the_request_goes_along(api: Served) -> None:
    await api.ask("POST", f"{ANA}/move", api.admin, 202, json=ASKED, headers={"traceparent": TRACE})
    await until_handled(api.resources.database, api.resources.log)
    last = of_customer(await published(api.resources.log, Topic.STAGE_CHANGED), "ana")[-1]
    assert TRACE.split("-")[1] in dict(last.headers)["traceparent"].decode()


async def test_of_two_moves_taken_before_the_engine_comes_to_them_the_second_is_refused(
    kafka_stack: Stack, files: tuple[str, ...]
) -> None:
    async with serving(kafka_stack, files) as api:
        async with api.resources.database.transaction() as transaction:
            await transaction.execute(select(tables.progress).with_for_update())
            for to in ("safe", "gold"):
                await post(api, to=to, id=to, expected_stage="guest")
                waits = await api.get(f"{ANA}/moves/{to}", status=404)
                assert to in waits["detail"]
                assert "wait" in waits["detail"]
        first, second = await outcome(api, "safe"), await outcome(api, "gold")
        assert (first["status"], first["refusal"]) == ("applied", None)
        assert (second["status"], second["sequence"], second["expected_stage"]) == ("refused", None, "guest")
        assert second["refusal"] == "the customer was expected in guest and is in safe"
        assert await path(api.resources.database, "ana", "club") == ["guest", "safe"]
        assert await differences(api.resources) == []


async def test_a_move_that_does_not_fit_what_is_known_is_a_conflict_that_says_where_the_customer_is(
    api: Served,
) -> None:
    for given in ({"expected_stage": "member"}, {"expected_stage": "no such"}, {"to": "guest"}):
        refused = await post(api, 409, **given)
        assert refused["type"] == "urn:jornada:problem:conflict"
        assert refused["stage"] == "guest"
        assert "guest" in refused["detail"]
    assert await rows(api.resources.database, tables.manual_moves) == []
    assert (await post(api, expected_stage="guest"))["status"] == "accepted"


async def test_who_was_never_heard_of_is_not_found(api: Served) -> None:
    for customer in ("nobody", "lead%00", "x" * 5_000):
        await post(api, 404, at=f"/v1/customers/{customer}")
        await api.get(f"/v1/customers/{customer}/moves/m", status=404)
    for odd in ("m", "a%00b", "%2F", "x" * 5_000):
        await api.get(f"{ANA}/moves/{odd}", status=404)


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"lifecycle": "clubb"}, "/lifecycle", 'did you mean "club"?'),
    ({"to": "gould"}, "/to", 'did you mean "gold"?'),
    ({"to": "golden"}, "/to", 'did you mean "gold"?'),
    ({"stage": "safe"}, "/stage", "there is no such field"),
    ({"expected": "guest"}, "/expected", 'did you mean "expected_stage"?'),
    ({"to": None}, "/to", "it is required"),
    ({"reason": None}, "/reason", "it is required"),
    ({"author": None}, "/author", "it is required"),
    ({"reason": ""}, "/reason", "at least 1 character"),
    ({"author": "x" * 501}, "/author", "at most 500 characters"),
    ({"reason": "two\nlines"}, "/reason", "leave out control characters"),
    ({"author": "Eva\u0000"}, "/author", "leave out control characters"),
    ({"id": "a\u0007"}, "/id", "leave out control characters"),
    ({"id": "x" * 201}, "/id", "at most 200 characters"),
    ({"to": 7}, "/to", "write it in quotes"),
    ({"lifecycle": ["club"]}, "/lifecycle", "write it in quotes"),
]


async def test_what_cannot_be_meant_is_refused_with_its_field(api: Served) -> None:
    for given, pointer, said in REFUSED:
        refused = await post(api, 422, **given)
        assert refused["type"] == "urn:jornada:problem:invalid-request"
        errors = {each["pointer"]: each for each in refused["errors"]}
        assert pointer in errors, refused
        assert said in str(errors[pointer])
        assert "query" not in str(refused)


async def test_a_body_that_is_no_move_is_refused(api: Served) -> None:
    for body in (b"", b"[]", b"{", b'{"to": "\\ud800"}', b"\xff"):
        refused = (await api.ask("POST", f"{ANA}/move", api.admin, 422, content=body)).json()
        assert refused["errors"]


async def test_moving_needs_admin_and_looking_customers_read(api: Served) -> None:
    for key in (api.reader, api.writer):
        refused = await api.ask("POST", f"{ANA}/move", key, 403, json=ASKED)
        assert "admin" in refused.json()["detail"]
    await api.get(f"{ANA}/moves/m", api.writer, status=403)
    assert (await api.client.post(f"{ANA}/move", json=ASKED)).status_code == 401
    assert (await api.client.get(f"{ANA}/moves/m")).status_code == 401
    move_id = (await post(api))["move_id"]
    await outcome(api, move_id)
    assert (await api.get(f"{ANA}/moves/{move_id}", api.admin))["status"] == "applied"


async def test_another_tenant_sees_and_moves_its_own_customers_only(api: Served) -> None:
    await outcome(api, (await post(api, id="m"))["move_id"])
    await api.get(f"{ANA}/moves/m", api.other_admin, status=404)
    theirs = {**ASKED, "to": "gold", "id": "m"}
    await api.ask("POST", "/v1/customers/a%2Fb%20%25/move", api.other_admin, 404, json=theirs)
    await api.ask("POST", f"{ANA}/move", api.other_admin, 202, json=theirs)
    await until_handled(api.resources.database, api.resources.log)
    assert (await api.get(f"{ANA}/moves/m", api.other_admin))["to"] == "gold"
    assert (await api.get(f"{ANA}/moves/m"))["to"] == "safe"
    ours, others = [await api.get(ANA, key) for key in (api.admin, api.other_admin)]
    assert [each["lifecycles"]["club"]["stage"] for each in (ours, others)] == ["safe", "gold"]


async def test_a_request_that_comes_again_under_its_id_moves_once(api: Served) -> None:
    first, second = await asyncio.gather(post(api, id="m"), post(api, id="m"))
    assert first == second
    await outcome(api, "m")
    assert await path(api.resources.database, "ana", "club") == ["guest", "safe"]
    assert await rows(api.resources.database, tables.dead_letters) == []


async def test_a_request_that_comes_again_long_after_is_answered_as_it_was(api: Served) -> None:
    first = await post(api, id="m", expected_stage="guest")
    await outcome(api, "m")
    assert await post(api, id="m", expected_stage="guest") == first
    await outcome(api, (await post(api, to="gold"))["move_id"])
    assert await post(api, id="m", expected_stage="guest") == first
    await until_handled(api.resources.database, api.resources.log)
    assert await path(api.resources.database, "ana", "club") == ["guest", "safe", "gold"]


async def test_an_id_that_was_another_moves_is_a_conflict(api: Served) -> None:
    await outcome(api, (await post(api, id="m"))["move_id"])
    for given in ({"to": "gold"}, {"reason": "other"}, {"author": "Rui"}, {"expected_stage": "safe"}):
        refused = await post(api, 409, id="m", **given)
        assert "'m'" in refused["detail"]
    assert await rows(api.resources.database, tables.dead_letters) == []


async def test_an_id_that_was_an_events_is_a_conflict(api: Served) -> None:
    refused = await post(api, 409, id="visit")
    assert "'visit'" in refused["detail"]


async def test_of_two_moves_under_one_id_the_one_that_the_log_had_first_counts(
    kafka_stack: Stack, files: tuple[str, ...]
) -> None:
    async with serving(kafka_stack, files) as api:
        async with api.resources.database.transaction() as transaction:
            await transaction.execute(select(tables.progress).with_for_update())
            await post(api, id="m")
            await post(api, id="m", to="gold")
        assert (await outcome(api, "m"))["to"] == "safe"
        (letter,) = await rows(api.resources.database, tables.dead_letters)
        assert letter["reason"] == DeadLetterReason.ID_CONFLICT


async def test_ids_of_any_characters_can_be_moved_and_read(api: Served) -> None:
    odd = "/v1/customers/a%2Fb%20%25"
    taken = await post(api, at=odd, id="case 7/2 50%")
    told = await outcome(api, "case 7/2 50%", odd)
    assert (taken["move_id"], told["status"]) == ("case 7/2 50%", "applied")
    assert (await api.get(odd))["lifecycles"]["club"]["stage"] == "safe"


async def test_a_move_in_another_lifecycle_leaves_the_default_where_it_is(api: Served) -> None:
    taken = await post(api, lifecycle="tier", to="golden")
    assert (await outcome(api, taken["move_id"]))["lifecycle"] == "tier"
    stages = {name: each["stage"] for name, each in (await api.get(ANA))["lifecycles"].items()}
    assert stages == {"club": "guest", "tier": "golden"}


async def test_without_a_lifecycle_the_one_is_meant_that_the_tenant_has_chosen(api: Served) -> None:
    await api.ask("PUT", "/v1/tenant/default-lifecycle", api.admin, json={"lifecycle": "tier"})
    assert (await post(api, to="golden"))["lifecycle"] == "tier"
    theirs = await api.ask("POST", f"{ANA}/move", api.other_admin, 202, json=ASKED)
    assert theirs.json()["lifecycle"] == "club"


async def test_a_registered_lifecycle_that_the_customer_is_not_in_is_refused(
    sql_stack: Stack, files: tuple[str, ...]
) -> None:
    async with served(sql_stack, lifecycles=files):
        pass
    async with serving(sql_stack, files[:1], retired_lifecycles=("tier",)) as api:
        refused = await post(api, 422, lifecycle="tier", to="golden")
        assert refused["errors"][0]["pointer"] == "/lifecycle"


async def test_a_move_that_nobody_could_have_posted_is_set_aside_or_refused(api: Served) -> None:
    wanted = {"lifecycle": "club", "to": "safe", "by": "x", "reason": "x"}
    odd = [
        message("ana", "none", MANUAL_MOVE, {}),
        message("ana", "stage", MANUAL_MOVE, {**wanted, "to": "no such"}),
        message("stranger", "who", MANUAL_MOVE, wanted),
        signup("stranger"),
    ]
    await append(api.resources.log, odd)
    assert (await outcome(api, "stage"))["refusal"] == "club version 1 has no stage 'no such'"
    assert (await outcome(api, "who", "/v1/customers/stranger"))["status"] == "refused"
    await api.get(f"{ANA}/moves/none", status=404)
    (letter,) = await rows(api.resources.database, tables.dead_letters)
    assert (letter["reason"], letter["customer_id"]) == (DeadLetterReason.UNAPPLICABLE, "ana")
    assert await path(api.resources.database, "stranger", "club") == ["guest"]
    assert await differences(api.resources) == []


async def test_the_explanation_names_the_move(api: Served) -> None:
    taken = await post(api)
    await outcome(api, taken["move_id"])
    last = (await api.get(f"{ANA}/explanation"))["lifecycles"]["club"]["last_change"]
    assert (last["from"], last["transition"]) == ("guest", None)
    cause = {"kind": "manual", "by": "Eva", "reason": "won a prize", "move_id": taken["move_id"]}
    assert last["cause"] == cause


async def test_before_the_engine_has_started_nothing_is_taken(sqlite_stack: Stack, files: tuple[str, ...]) -> None:
    await sqlite_stack.create()
    async with unregistered(sqlite_stack, lifecycles=files) as api:
        answer = await api.ask("POST", f"{ANA}/move", api.admin, 503, json=ASKED)
        assert answer.headers["retry-after"] == "1"
        await api.get(f"{ANA}/moves/m", status=404)


@dataclass
class OnlyMoves:
    """A service of these routes alone, with a log of the test's making."""

    resources: Resources
    producer: Producer | None
    name: str = "moves"

    def routers(self) -> Sequence[APIRouter]:
        return [moves_router(self.resources, lambda: self.producer)]

    async def run(self, stopping: asyncio.Event) -> None:
        await stopping.wait()

    async def checks(self) -> Sequence[Check]:
        return []

    def alive(self) -> bool:
        return True


async def _ask(stack: Stack, files: tuple[str, ...], producer: Producer | None) -> httpx2.Response:
    """Post a move with this producer, once an engine has heard of the customer."""
    async with stack.process(lifecycles=files, append_timeout_seconds=0.2) as resources:
        async with engine_running(resources):
            await append(resources.log, [visit("ana")])
            await until_handled(resources.database, resources.log)
        key = await Keys(resources.database, "BRL").create(KeyRequest("acme", ["admin"]))
        transport = httpx2.ASGITransport(create_app([OnlyMoves(resources, producer)], resources))
        async with httpx2.AsyncClient(transport=transport, base_url="http://engine") as client:
            return await client.post(f"{ANA}/move", json=ASKED, headers={"Authorization": f"Bearer {key.token}"})


async def test_while_the_engine_waits_for_the_log_a_move_may_be_sent_again(
    sql_stack: Stack, files: tuple[str, ...]
) -> None:
    answer = await _ask(sql_stack, files, None)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize("error", [LogUnavailable("the log is away"), None])
async def test_a_log_that_does_not_take_a_move_is_no_acceptance(
    sql_stack: Stack, files: tuple[str, ...], error: Transient | None
) -> None:
    producer = FakeProducer()
    producer.error = error
    if error is None:
        producer.gate.clear()
    answer = await _ask(sql_stack, files, producer)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "give the move an id and send the same again" in answer.json()["detail"]
    assert producer.appended == []


async def test_a_move_is_told_as_handled_at_the_logs_own_time(api: Served) -> None:
    told = await outcome(api, (await post(api, id="m"))["move_id"])
    (kept,) = await rows(api.resources.database, tables.history, event_id="m")
    assert told["handled_at"] == to_text(kept["logged_ms"])


async def test_an_import_from_before_a_move_looks_at_it_again_and_leaves_what_was_told(api: Served) -> None:
    database, log = api.resources.database, api.resources.log
    told = await outcome(api, (await post(api, id="m", expected_stage="guest"))["move_id"])
    before = Given(time_ms=now_ms() - DAY_MS, mode=BACKFILL)
    await append(log, [purchase("ana", "o1", before)])

    async def decided_anew() -> bool:
        return (await path(database, "ana", "club"))[-1] == "gold"

    await until(decided_anew, "the purchase counts, by which the move no longer finds its guest")
    last = (await changes(database, "ana"))[-1]
    assert (last.data.from_, last.data.to, last.data.mode) == ("safe", "gold", "backfill")
    assert isinstance(last.data.cause, RecomputedCause)
    assert await api.get(f"{ANA}/moves/m") == told
    assert told["status"] == "applied"
    assert await differences(api.resources) == []


async def test_a_move_after_a_publication_goes_by_the_new_rules(api: Served) -> None:
    wider = (await api.get("/v1/lifecycles/tier"))["text"].replace(
        "transitions:", "  diamond: {order: 30}\ntransitions:"
    )
    assert (await post(api, 422, lifecycle="tier", to="diamond"))["errors"][0]["pointer"] == "/to"
    given = {"text": wider, "message": "a third tier"}
    await api.ask("POST", "/v1/lifecycles/tier/publications", api.publisher, 202, json=given)
    told = await outcome(api, (await post(api, lifecycle="tier", to="diamond"))["move_id"])
    assert told["status"] == "applied"
    assert (await changes(api.resources.database, "ana"))[-1].data.lifecycle_version == 2
    assert await differences(api.resources) == []


async def test_a_refused_move_is_not_made_after_all_when_an_import_has_the_customer_decided_anew(api: Served) -> None:
    database, log = api.resources.database, api.resources.log
    wanted = {"lifecycle": "club", "to": "safe", "by": "x", "reason": "x", "expected_stage": "gold"}
    await append(log, [message("ana", "m", MANUAL_MOVE, wanted)])
    refused = await outcome(api, "m")
    assert refused["refusal"] == "the customer was expected in gold and is in guest"
    await append(log, [purchase("ana", "o1", Given(time_ms=now_ms() - DAY_MS, mode=BACKFILL))])

    async def decided_anew() -> bool:
        return (await path(database, "ana", "club"))[-1] != "guest"

    await until(decided_anew, "the purchase counts, by which the customer was in gold before the move")
    assert (await path(database, "ana", "club"))[-1] == "gold"
    assert await outcome(api, "m") == refused
    assert await differences(api.resources) == []
