"""What campaigns wait for is looked at over HTTP too, before a text that lacks it is published."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.cli.lifecycles.linting import check
from services.stage_engine.definitions.registering import register
from services.stage_engine.store import tables
from shared.contracts.times import now_ms
from tests.integration.stage_engine.observing import rows
from tests.integration.stage_engine.serving import Served, unregistered
from tests.integration.stage_engine.stack import Stack

CLUB = """lifecycle: club
start: guest
stages: {guest: {order: 1}, member: {order: 2}}
transitions:
  - {id: joined, from: guest, to: member, on: purchase}
"""
RENAMED = CLUB.replace("member", "friend")
CAMPAIGN = """key: welcome-in
class: marketing
trigger: {lifecycle: club, entered: member}
steps: [{key: one, template: welcome}]
"""
TOLD = "the campaign `welcome-in` waits for the stage `member`, which club does not have; its stages are guest, friend"
PUBLICATIONS = "/v1/lifecycles/club/publications"


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    """The one campaign's file."""
    (tmp_path / "campaigns").mkdir()
    file = tmp_path / "campaigns" / "welcome-in.yaml"
    file.write_text(CAMPAIGN)
    return file


@pytest.fixture
async def api(sql_stack: Stack, tmp_path: Path, campaign: Path) -> AsyncIterator[Served]:
    (tmp_path / "club.yaml").write_text(CLUB)
    async with unregistered(sql_stack, campaigns_dir=campaign.parent) as api:
        await register(api.resources.database, (str(tmp_path / "club.yaml"),), now_ms())
        yield api


def changed(campaign: Path, old: str, new: str) -> None:
    """Somebody edits the campaign."""
    campaign.write_text(CAMPAIGN.replace(old, new))


async def publish(api: Served, status: int, **given: Any) -> Any:
    body = {"message": "a test", "migrate": {"member": "friend"}, **given}
    return (await api.ask("POST", PUBLICATIONS, api.publisher, status, json=body)).json()


async def lint(api: Served, text: str) -> Any:
    return (await api.ask("POST", "/v1/lifecycles/lint?file=my.yaml", content=text)).json()


async def test_what_a_campaign_waits_for_can_not_be_published_away(api: Served, campaign: Path) -> None:
    refused = await publish(api, 422, text=RENAMED)
    (error,) = refused["errors"]
    assert (error["pointer"], error["detail"]) == ("/text", f"welcome-in.yaml:3:28: {TOLD}")
    assert "change the campaign first" in error["advice"]
    assert len(await rows(api.resources.database, tables.publications)) == 1
    assert len(await rows(api.resources.database, tables.lifecycles)) == 1
    changed(campaign, "member", "friend")
    assert (await publish(api, 202, text=RENAMED))["version"] == 2


async def test_nor_can_an_earlier_version_that_lacks_it(api: Served, campaign: Path) -> None:
    changed(campaign, "entered: member", "entered: guest")
    await publish(api, 202, text=RENAMED)
    changed(campaign, "member", "friend")
    (error,) = (await publish(api, 422, version=1, migrate={"friend": "member"}))["errors"]
    assert (error["pointer"], "waits for the stage `friend`" in error["detail"]) == ("/version", True)
    assert (await api.get("/v1/lifecycles/club"))["version"] == 2


async def test_a_campaign_that_can_not_be_read_stops_a_publication_with_its_place(api: Served, campaign: Path) -> None:
    changed(campaign, "entered", "entred")
    (error,) = (await publish(api, 422, text=RENAMED))["errors"]
    assert error["detail"].startswith("welcome-in.yaml:3:")


async def test_lint_tells_campaigns_with_their_places_as_the_command_does(
    api: Served, tmp_path: Path, campaign: Path
) -> None:
    found = await lint(api, RENAMED)
    assert found["errors"] == [{"file": "welcome-in.yaml", "line": 3, "column": 28, "message": TOLD}]
    (tmp_path / "my.yaml").write_text(RENAMED)
    by_command = check(str(tmp_path / "my.yaml"), (), api.resources.settings).as_json()
    assert (found["errors"], found["warnings"]) == (
        by_command["errors"],
        [{**each, "file": "my.yaml"} for each in by_command["warnings"]],
    )
    assert (await lint(api, CLUB))["errors"] == []
