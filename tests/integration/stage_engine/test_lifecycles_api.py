"""Lifecycles over HTTP: what there is, what a text is worth, and what differs; each key by its scopes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from time import process_time
from typing import Any

import pytest

from services.stage_engine.definitions.definition import SHIPPED, parse_definition
from services.stage_engine.definitions.schema import json_schema
from services.stage_engine.publications.publishing import Request, publish
from shared.contracts.times import now_ms
from tests.integration.stage_engine.observing import until_handled
from tests.integration.stage_engine.serving import Served, served, unregistered
from tests.integration.stage_engine.stack import Stack

CLUB = """lifecycle: club
labels: {pt-BR: Clube, es: Club, en: Club}
start: guest
stages:
  gold: {order: 3, side: true, end: true, label: {en: Gold}}
  guest: {order: 1}
  member: {order: 2}
transitions:
  - {id: joined, from: guest, to: member, on: purchase}
  - {id: best, from: member, to: gold, on: referral}
"""
NEXT = CLUB.replace("on: referral", 'when: "facts.orders >= 3"')
READING = (
    "lifecycle: care\nstart: calm\nstages: {calm: {order: 1}, cross: {order: 2, end: true}}\ntransitions:\n"
    "  - {id: c, from: calm, to: cross, on: complaint, when: \"stages.club == 'gold'\"}\n"
)
BOMB = "a: &a [x, x]\n" + "".join(f"{name}: &{name} [*a, *a, *a, *a]\n" for name in "bcdefgh")


@pytest.fixture
async def api(sql_stack: Stack, tmp_path: Path) -> AsyncIterator[Served]:
    """An engine that runs two lifecycles; the second version of one is active."""
    file = tmp_path / "club.yaml"
    file.write_text(CLUB)
    async with served(sql_stack, lifecycles=(str(file), "ecommerce")) as api:
        await until_handled(api.resources.database, api.resources.log)
        wish = Request("better", "tester", now_ms(), migrate={})
        await publish(api.resources.database, api.resources.log, parse_definition("club.yaml", NEXT), wish)
        yield api


async def lint(api: Served, text: str | bytes, query: str = "", status: int = 200) -> Any:
    body = text.encode() if isinstance(text, str) else text
    headers = {"content-type": "application/yaml"}
    return (await api.ask("POST", f"/v1/lifecycles/lint{query}", status=status, content=body, headers=headers)).json()


async def test_lifecycles_are_listed_with_their_active_version_and_stages_in_order(api: Served) -> None:
    club, ecommerce = (await api.get("/v1/lifecycles"))["lifecycles"]
    assert club == {
        "name": "club",
        "version": 2,
        "labels": {"pt-BR": "Clube", "es": "Club", "en": "Club"},
        "start": "guest",
        "default": True,
        "running": True,
        "stages": [
            {"key": "guest", "order": 1, "label": {}, "side": False, "end": False},
            {"key": "member", "order": 2, "label": {}, "side": False, "end": False},
            {"key": "gold", "order": 3, "label": {"en": "Gold"}, "side": True, "end": True},
        ],
    }
    assert (ecommerce["name"], ecommerce["version"], ecommerce["default"]) == ("ecommerce", 1, False)
    assert all(stage["label"].keys() == {"pt-BR", "es", "en"} for stage in ecommerce["stages"])


async def test_a_lifecycle_that_is_no_longer_listed_is_told_and_does_not_run(api: Served, sql_stack: Stack) -> None:
    async with served(sql_stack, lifecycles=("ecommerce",), retired_lifecycles=("club",)) as later:
        told = {each["name"]: each["running"] for each in (await later.get("/v1/lifecycles"))["lifecycles"]}
    assert told == {"club": False, "ecommerce": True}


async def test_one_lifecycle_has_its_text_and_its_publications_the_last_one_first(api: Served) -> None:
    club = await api.get("/v1/lifecycles/club")
    assert (club["version"], club["text"], club["default"]) == (2, NEXT, True)
    last, first = club["publications"]
    assert (last["version"], last["message"], last["author"], last["number"]) == (2, "better", "tester", 2)
    assert (first["publish_id"], first["version"], first["author"]) == ("club-1", 1, "engine")
    assert first["created_at"].endswith("Z")


async def test_the_text_of_a_version_is_what_was_published(api: Served) -> None:
    answer = await api.ask("GET", "/v1/lifecycles/club/versions/1")
    assert (answer.text, answer.headers["content-type"]) == (CLUB, "application/yaml")
    shipped = (SHIPPED / "ecommerce.yaml").read_bytes()
    assert (await api.ask("GET", "/v1/lifecycles/ecommerce/versions/1")).content == shipped


async def test_the_difference_of_two_versions_is_told_by_name_and_by_line(api: Served) -> None:
    found = await api.get("/v1/lifecycles/club/diff?before=1")
    assert (found["before"], found["after"]) == (1, 2)
    assert found["transitions"] == {"added": [], "removed": [], "changed": ["best"]}
    assert found["stages"] == found["facts"] == {"added": [], "removed": [], "changed": []}
    assert '+  - {id: best, from: member, to: gold, when: "facts.orders >= 3"}' in found["text"]
    back = await api.get("/v1/lifecycles/club/diff?before=2&after=1")
    assert "+  - {id: best, from: member, to: gold, on: referral}" in back["text"]
    assert (await api.get("/v1/lifecycles/club/diff?before=2"))["text"] == []


async def test_the_diagram_is_mermaid_of_the_version_asked_for(api: Served) -> None:
    answer = await api.ask("GET", "/v1/lifecycles/club/diagram")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text.startswith("stateDiagram-v2\n")
    assert "orders ≥ 3" in answer.text
    assert "referral" in (await api.ask("GET", "/v1/lifecycles/club/diagram?version=1")).text


async def test_the_schema_needs_no_key_because_editors_have_none(api: Served) -> None:
    answer = await api.client.get("/v1/lifecycle-schema")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/schema+json")
    assert answer.json() == json_schema()


MISSING = {
    "/clubb": 'did you mean "club"?',
    "/clubb/diff?before=1": 'did you mean "club"?',
    "/clubb/diagram": 'did you mean "club"?',
    "/a%2Fb": "known here: club, ecommerce",
    "/club/versions/3": "club has no version 3; version 2 is active",
    "/club/versions/0": "club has no version 0",
    "/club/versions/99999999999999999999": "club has no version 99999999999999999999",
    "/club/diff?before=7": "club has no version 7",
    "/club/diagram?version=7": "club has no version 7",
}


async def test_what_does_not_exist_is_not_found_with_what_there_is(api: Served) -> None:
    for path, told in MISSING.items():
        assert told in (await api.get(f"/v1/lifecycles{path}", status=404))["detail"]
    for path in ("/club/versions/two", "/club/diff", "/club/diff?before=0", "/club/diagram?version=a"):
        refused = await api.get(f"/v1/lifecycles{path}", status=422)
        assert "parameter" in refused["errors"][0]["detail"]


async def test_a_good_text_has_no_errors_and_says_beside_what_it_was_looked_at(api: Served) -> None:
    found = await lint(api, READING)
    assert (found["file"], found["errors"], found["warnings"]) == ("lifecycle.yaml", [], [])
    assert found["notes"] == [
        "no engine runs a lifecycle `care` yet: one registers it when it starts with this file",
        "stages.club is looked at as version 2 has them, which is active",
    ]


async def test_errors_have_line_and_column(api: Served) -> None:
    found = await lint(api, NEXT.replace("facts.orders", "facts.ordres"), "?file=my.yaml")
    (error,) = found["errors"]
    assert (error["file"], error["line"], error["column"]) == ("my.yaml", 10, 47)
    assert "did you mean `orders`?" in error["message"]


async def test_a_stage_that_another_lifecycle_does_not_have_is_an_error(api: Served) -> None:
    (error,) = (await lint(api, READING.replace("'gold'", "'golden'")))["errors"]
    assert "club has no stage `golden`; did you mean `gold`?" in error["message"]


async def test_what_is_hardly_meant_is_a_warning(api: Served) -> None:
    text = NEXT.replace("  member: {order: 2}\n", "  member: {order: 2}\n  lost: {order: 9}\n")
    found = await lint(api, text)
    assert found["errors"] == []
    assert [each["line"] for each in found["warnings"]] == [8, 8]
    assert "nobody can reach `lost`" in found["warnings"][0]["message"]


HOSTILE: dict[str, str | bytes] = {
    "aliases are not allowed": BOMB,
    "nested more than 50 deep": "[" * 200_000,
    "the file is larger than 256 KiB": "x" * 300_000,
    "not UTF-8 text": b"lifecycle: \xff",
    "no YAML": "lifecycle: a\x00b",
    "the file must be a mapping": "",
    "more than 15000 keys and values": "\n".join(f"k{number}: [1, 2]" for number in range(15_000)),
}


async def test_hostile_texts_are_refused_in_under_a_second(api: Served) -> None:
    for told, text in HOSTILE.items():
        began = process_time()
        found = await lint(api, text)
        assert process_time() - began < 1.0, told
        assert told in found["errors"][0]["message"]


async def test_ten_megabytes_are_too_large_at_once(api: Served) -> None:
    began = process_time()
    refused = await lint(api, "x" * 10_000_000, status=413)
    assert process_time() - began < 1.0
    assert "1,048,576 bytes" in refused["detail"]


READ = ["", "/club", "/club/versions/1", "/club/diff?before=1", "/club/diagram"]


async def test_reading_needs_a_key_that_may_read(api: Served) -> None:
    for path in READ:
        refused = await api.get(f"/v1/lifecycles{path}", api.writer, status=403)
        assert "customers:read" in refused["detail"]
        assert (await api.client.get(f"/v1/lifecycles{path}")).status_code == 401
    assert (await api.client.post("/v1/lifecycles/lint", content=CLUB)).status_code == 401
    await api.ask("POST", "/v1/lifecycles/lint", api.writer, status=403, content=CLUB)


async def test_another_tenant_reads_the_same(api: Served) -> None:
    for path in READ[1:]:
        assert (await api.ask("GET", f"/v1/lifecycles{path}", api.other_admin)).text == (
            await api.ask("GET", f"/v1/lifecycles{path}")
        ).text


async def test_before_an_engine_has_registered_anything_there_is_nothing_to_list(sqlite_stack: Stack) -> None:
    await sqlite_stack.create()
    async with unregistered(sqlite_stack) as api:
        assert await api.get("/v1/lifecycles") == {"lifecycles": []}
        assert "no engine has registered" in (await api.get("/v1/lifecycles/club", status=503))["detail"]
        assert (await lint(api, CLUB))["errors"] == []
