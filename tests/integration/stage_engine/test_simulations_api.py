"""A story is tried over HTTP as on the command line, under what is active or under a text that nobody has published."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli.main import app
from services.stage_engine.api import simulations
from services.stage_engine.definitions.definition import parse_definition
from services.stage_engine.domain.advance import MOST_BY_TIME
from services.stage_engine.publications.publishing import Request, publish
from services.stage_engine.simulating.story import Limits
from services.stage_engine.store import tables
from shared.contracts.times import now_ms
from tests.integration.stage_engine.observing import rows, until_handled
from tests.integration.stage_engine.serving import Served, served
from tests.integration.stage_engine.stack import Stack

CLUB = """lifecycle: club
start: guest
stages: {guest: {order: 1}, member: {order: 2}, gold: {order: 3}}
transitions:
  - {id: joined, from: guest, to: member, on: purchase}
  - {id: quiet, from: member, to: guest, after: 30d, demotion: true}
"""
NEXT = CLUB + '  - {id: rich, from: member, to: gold, when: "facts.revenue >= 100.0"}\n'
CARE = (
    "lifecycle: care\nstart: calm\nstages: {calm: {order: 1}, cross: {order: 2}}\ntransitions:\n"
    "  - {id: c, from: calm, to: cross, on: complaint, when: \"stages.club == 'member'\"}\n"
)
PULSE = (
    "lifecycle: club\nstart: tick\nlateness: 1s\nstages: {tick: {order: 1}, tock: {order: 1}}\ntransitions:\n"
    "  - {id: a, from: tick, to: tock, after: 1s}\n  - {id: b, from: tock, to: tick, after: 1s}\n"
)
PLACE = "/v1/lifecycles/club/simulations"


def event(number: int, day: str, type_: str = "purchase", **data: Any) -> dict[str, Any]:
    bought = {"order_id": f"o{number}", "amount": "60.00", "currency": "BRL"} if type_ == "purchase" else data
    return {"id": f"e{number}", "type": type_, "customer_id": "ana", "time": f"{day}T10:00:00Z", "data": bought}


STORY = [event(1, "2026-01-02"), event(2, "2026-01-05"), event(3, "2026-01-03")]


@pytest.fixture
async def api(sql_stack: Stack, tmp_path: Path) -> AsyncIterator[Served]:
    """An engine with two lifecycles, one of which reads the other's stages."""
    for name, text in (("club", CLUB), ("care", CARE)):
        (tmp_path / f"{name}.yaml").write_text(text)
    files = (str(tmp_path / "club.yaml"), str(tmp_path / "care.yaml"))
    async with served(sql_stack, lifecycles=files) as api:
        await until_handled(api.resources.database, api.resources.log)
        yield api


async def simulated(api: Served, status: int = 200, at: str = PLACE, **given: Any) -> Any:
    return (await api.ask("POST", at, status=status, json={"events": STORY, **given})).json()


def moves(told: Any, lifecycle: str = "club") -> list[str]:
    changes = [change for step in told["steps"] for change in step["stage_changes"]]
    return [change["to"] for change in changes if change["lifecycle"] == lifecycle]


async def test_a_story_is_told_as_the_command_line_tells_it(api: Served, tmp_path: Path) -> None:
    lines = tmp_path / "story.jsonl"
    lines.write_text("".join(json.dumps(each) + "\n" for each in STORY))
    words = ["lifecycle", "simulate", str(tmp_path / "club.yaml"), "--events", str(lines), "--until", "40d"]
    (shown,) = json.loads(CliRunner().invoke(app, [*words, "--format", "json"]).stdout)
    told = await simulated(api, until="40d")
    assert told.pop("notes") == []
    assert told == shown
    assert moves(told) == ["guest", "member", "guest"]
    assert await rows(api.resources.database, tables.customers) == []


async def test_a_text_is_tried_beside_what_is_active(api: Served) -> None:
    assert moves(await simulated(api)) == ["guest", "member"]
    told = await simulated(api, text=NEXT)
    assert moves(told) == ["guest", "member", "gold"]
    last = told["steps"][1]["stage_changes"][0]
    assert (last["transition"], last["facts"], last["lifecycle_version"]) == ("rich", {"revenue": "120.00"}, 2)
    assert moves(await simulated(api)) == ["guest", "member"]


async def test_the_active_version_counts_once_it_is_published(api: Served) -> None:
    wish = Request("better", "tester", now_ms())
    await publish(api.resources.database, api.resources.log, parse_definition("club.yaml", NEXT), wish)
    assert moves(await simulated(api)) == ["guest", "member", "gold"]


async def test_lifecycles_whose_stages_are_read_take_part(api: Served) -> None:
    complaint = event(4, "2026-01-06", "complaint", complaint_id="c1", severity="high")
    told = await simulated(api, at="/v1/lifecycles/care/simulations", events=[*STORY, complaint])
    assert (moves(told, "club"), moves(told, "care")) == (["guest", "member"], ["calm", "cross"])
    assert told["lifecycles"].keys() == {"club", "care"}


async def test_a_lifecycle_that_is_not_registered_yet_can_be_tried(api: Served) -> None:
    told = await simulated(api, at="/v1/lifecycles/new/simulations", text=NEXT.replace("club", "new"))
    assert moves(told, "new") == ["guest", "member", "gold"]
    refused = await simulated(api, 404, at="/v1/lifecycles/new/simulations")
    assert "no lifecycle 'new' is registered" in refused["detail"]


async def test_money_counts_in_the_tenants_currency(api: Served) -> None:
    given: dict[str, Any] = {"events": [event(1, "2026-01-02")]}
    assert (await simulated(api, **given))["facts"]["revenue"] == "60.00"
    theirs = (await api.ask("POST", PLACE, api.other_admin, json=given)).json()["facts"]
    assert (theirs["orders"], theirs["revenue"]) == (1, "0.00"), "60 BRL are no dollars"


async def test_types_that_nothing_reads_are_noted(api: Served) -> None:
    (note,) = (await simulated(api, events=[*STORY, event(9, "2026-01-07", "purchse")]))["notes"]
    assert 'did you mean "purchase"?' in note


async def test_values_that_a_fact_can_not_take_are_noted(api: Served) -> None:
    text = CLUB.replace(
        "stages:", "facts:\n  points: {sum: points, of: gift, type: int}\n  spent: {sum: amount, of: purchase}\nstages:"
    )
    gifts = [event(n, f"2026-02-{n:02}", "gift", points=points) for n, points in ((4, "7"), (5, 1 << 53), (6, 3))]
    foreign = event(7, "2026-02-07")
    foreign["data"]["currency"] = "EUR"
    told = await simulated(api, text=text, events=[*STORY, *gifts, foreign])
    assert told["notes"] == [
        "club: `points` passed over `points` of 2 events: '7', the first, is not what the fact counts",
        "club: `spent` passed over `amount` of 1 event: '60.00', the first, is not an amount in BRL",
    ]
    assert told["lifecycles"]["club"]["facts"]["points"] == 3


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"events": []}, "/events", "a story has 1 to 500 events"),
    ({"events": [STORY[0]] * 501}, "/events", "not 501"),
    ({"events": [{**STORY[0], "tme": 1}]}, "/events/0/tme", "there is no such field"),
    ({"events": [STORY[0], event(2, "2026-01-03", "complaint")]}, "/events/1/data/complaint_id", "it is required"),
    ({"events": [{**STORY[0], "time": None}]}, "/events/0/time", ""),
    ({"events": [{key: STORY[0][key] for key in STORY[0] if key != "time"}]}, "/events/0/time", "needs one"),
    ({"events": [STORY[0], STORY[0]]}, "/events/1/id", "event 1 has `e1` already"),
    ({"events": [STORY[0], {**STORY[1], "customer_id": "rui"}]}, "/events/1/customer_id", "of one customer"),
    ({"events": [7]}, "/events/0", ""),
    ({"events": "story.jsonl"}, "", "Expected `array`"),
    ({"file": CLUB}, "", "unknown field `file`"),
    ({"until": "90 days"}, "/until", "is no duration"),
    ({"until": "999999w"}, "/until", "is out of range"),
    ({"until": "9999-12-31T23:59:59Z"}, "/until", "is after the year 3999"),
    ({"until": "2020-01-01T00:00:00Z"}, "/until", "is before the story's last event"),
    ({"text": NEXT.replace("revenue", "revenu")}, "/text", "did you mean `revenue`?"),
    ({"text": CARE}, "/text", "this is the lifecycle care, not club"),
    ({"text": CLUB.replace("on: purchase", "when: \"stages.pub == 'a'\"")}, "/text", "no active lifecycle `pub`"),
    ({"text": "a: &a [x]\nb: [*a]\n"}, "/text", "aliases are not allowed"),
]


async def test_what_can_not_be_told_is_refused_in_time_with_its_place(api: Served) -> None:
    for given, pointer, told in REFUSED:
        began = process_time()
        refused = await simulated(api, 422, **given)
        assert process_time() - began < 2.0, (told, process_time() - began)
        assert refused["errors"][0]["pointer"] == pointer, refused
        assert told in refused["errors"][0]["detail"], refused
    for body in (b"", b"[", b"{}", b'{"events": ' + b"[" * 100_000, b'{"events": [], "text": "\\ud800"}', b"\xff"):
        await api.ask("POST", PLACE, status=422, content=body)
    await api.ask("POST", PLACE, status=413, content=b"x" * 2_000_000)


async def test_a_text_with_a_short_beat_can_be_told_for_a_while(api: Served) -> None:
    told = await simulated(api, text=PULSE, events=STORY[:1], until="3650d")
    assert len(moves(told)) == 1 + MOST_BY_TIME
    assert "moves them no further" in json.dumps(told["steps"][-1])


@pytest.mark.parametrize(
    ("limits", "told"),
    [(Limits(changes=999, seconds=60.0), "moves more than 999 times"), (Limits(10_000, 0.0), "a story may take")],
)
async def test_a_story_that_takes_long_is_given_up(
    api: Served, monkeypatch: pytest.MonkeyPatch, limits: Limits, told: str
) -> None:
    monkeypatch.setattr(simulations, "_LIMITS", limits)
    refused = await simulated(api, 422, text=PULSE, events=STORY[:1], until="3650d")
    assert told in refused["errors"][0]["detail"]
    assert "command line" in refused["errors"][0]["advice"]


async def test_trying_needs_a_key_that_may_read(api: Served) -> None:
    refused = await api.ask("POST", PLACE, api.writer, 403, json={"events": STORY})
    assert "customers:read" in refused.json()["detail"]
    assert (await api.client.post(PLACE, json={"events": STORY})).status_code == 401
