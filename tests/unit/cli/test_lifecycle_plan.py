"""`jornada lifecycle plan` as a person and as a program meet it, on a database file that an engine has left behind."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli.lifecycles import planning
from services.cli.main import app
from services.notifier.store import contacts
from services.notifier.store.contacts import customer_key
from services.stage_engine.domain.event import Event, Origin
from services.stage_engine.planning.forecast import Foreseen
from services.stage_engine.planning.foreseeing import Foreseeing
from shared.contracts.times import now_ms
from tests.unit.cli.left_behind import leave, on_database

Run = Callable[..., Any]
NOW = now_ms()
CLUB = """\
lifecycle: club
start: guest
stages: {guest: {order: 1}, member: {order: 2}, gold: {order: 3}}
transitions:
  - {id: joined, from: guest, to: member, on: purchase}
"""
GOLD = CLUB + '  - {id: many, from: member, to: gold, when: "facts.orders >= 2"}\n'
BY_WINDOW = CLUB.replace("stages:", "facts: {lately: {count: purchase, within: 30d}}\nstages:") + (
    '  - {id: many, from: member, to: gold, when: "facts.lately >= 2"}\n'
)
FAILING = CLUB + '  - {id: odd, from: member, to: gold, when: "10 / facts.referrals > 5"}\n'
QUIET = CLUB + "  - {id: quiet, from: member, to: guest, after: 6d, demotion: true}\n"
RENAMED = CLUB.replace("member", "friend")
CAMPAIGN = """\
key: hello-gold
class: marketing
trigger: {lifecycle: club, entered: gold}
policy: once
steps:
  - {key: now, delay: 0, channel: email, template: welcome}
  - {key: later, delay: 7d, channel: email, template: welcome}
"""
ORDERS = {"[b]ana": 3, "bia": 2, "caio": 2, "davi": 1, "eva": 0}
"""How often each customer has bought. Bia takes no marketing, Caio has had the campaign before."""


def event(customer: str, identity: str, type_: str, **data: Any) -> Event:
    return Event.taken(Origin("shop", customer, identity, type_), NOW, NOW, backfill=False, data=data)


def events(customer: str, orders: int) -> list[Event]:
    consent = {"email": customer != "bia"}
    signup = event(customer, "signup", "signup", email=f"{len(customer)}@shop.example", consent=consent)
    return [signup] + [
        event(customer, f"o{number}", "purchase", order_id=f"{number}", amount="10.00", currency="BRL")
        for number in range(orders)
    ]


@pytest.fixture
def run(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `jornada lifecycle plan …` with the files of these tests beside it, where engine and notifier have been."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JORNADA_DATABASE_URL", url)
    monkeypatch.setenv("JORNADA_CAMPAIGNS_DIR", str(tmp_path / "campaigns"))
    (tmp_path / "campaigns").mkdir()
    (tmp_path / "campaigns" / "hello-gold.yaml").write_text(CAMPAIGN)
    files = {"club": CLUB, "gold": GOLD, "window": BY_WINDOW, "failing": FAILING, "renamed": RENAMED, "quiet": QUIET}
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    (tmp_path / "other.yaml").write_text(GOLD.replace("lifecycle: club", "lifecycle: other"))
    runner = CliRunner()
    assert runner.invoke(app, ["migrate"]).exit_code == 0
    lives = {name: events(name, orders) for name, orders in ORDERS.items()}
    had = contacts.store_runs({(customer_key("shop", "caio"), "hello-gold"): NOW})
    on_database(url, lambda database: leave(database, CLUB, lives, had))
    return lambda *words: runner.invoke(app, ["lifecycle", "plan", *words], catch_exceptions=False)


def said(result: Any) -> list[str]:
    return [" ".join(line.replace("│", " ").split()) for line in result.stdout.splitlines()]


def test_programs_get_every_number(run: Run) -> None:
    result = run("gold.yaml", "--format", "json")
    assert result.exit_code == 0
    assert "" not in result.stderr.splitlines(), "a bar leaves nothing behind where there is no terminal"
    found = json.loads(result.stdout)
    assert (found["lifecycle"], found["version"], found["active_version"]) == ("club", 2, 1)
    assert (found["complete"], found["outdated"]) == (True, False)
    assert found["customers"] == {"total": 5, "looked_at": 5, "moved": 3}
    assert found["decided_from"] == {"state": 5, "history": 0, "trimmed_history": 0}
    assert found["moves"] == {
        "club": [
            {"from": "guest", "to": "guest", "customers": 1},
            {"from": "member", "to": "member", "customers": 1},
            {"from": "member", "to": "gold", "customers": 3},
        ]
    }
    assert found["hops"] == [{"lifecycle": "club", "from": "member", "to": "gold", "transition": "many", "changes": 3}]
    first = found["most_affected"][0]
    assert (first["tenant"], first["customer_id"], first["distance"]) == ("shop", "[b]ana", 1)
    assert first["hops"][0]["facts"] == {"orders": 3}


def test_campaigns_count_what_the_notifier_would_plan_and_why_it_would_not_send(run: Run) -> None:
    campaigns = json.loads(run("gold.yaml", "--format", "json").stdout)["campaigns"]
    assert campaigns["without_notify"] == 0
    assert campaigns["with_notify"] == [
        {"campaign": "hello-gold", "changes": 3, "deliveries": 2, "suppressed": {"policy": 2, "no_consent": 2}}
    ]
    assert "webhooks" in campaigns["left_out"]


def test_people_get_a_matrix_the_campaigns_and_those_most_affected_with_why(run: Run) -> None:
    result = run("gold.yaml")
    assert result.exit_code == 0
    lines = said(result)
    assert "5 customers looked at, 3 of them would move" in lines
    assert "decided from the stored state: 5, from history: 0" in lines
    assert "member 4 1 3" in lines
    assert "gold 0 3" in lines
    assert "3 × member → gold by many" in lines
    assert "Published without --notify, no campaign acts on it." in lines
    assert "hello-gold 3 2 no_consent 2, policy 2" in lines
    assert lines[lines.index("shop:[b]ana") + 1] == "└── club: member → gold by many (orders is 3)"


def test_new_facts_are_computed_from_history_and_named(run: Run) -> None:
    lines = said(run("window.yaml"))
    assert "new or changed facts, computed from history: lately" in lines
    assert "decided from the stored state: 0, from history: 5" in lines
    assert "└── club: member → gold by many (lately is 3)" in lines


def test_those_whom_time_moves_a_little_later_are_told_too(run: Run) -> None:
    lines = said(run("quiet.yaml"))
    assert "club: nobody would change stage" in lines
    assert "within 7 days more, time alone would move 4 from there; as things are it moves 0" in lines


def test_a_condition_that_cannot_be_computed_is_told(run: Run) -> None:
    result = run("failing.yaml")
    assert "club: nobody would change stage" in said(result)
    assert (
        "warning club: `odd` can't be computed for 4 customers, so it does not hold: 10 / facts.referrals > 5"
        in said(result)
    )


def test_a_lost_stage_needs_to_be_told_where_its_customers_go(run: Run) -> None:
    refused = run("renamed.yaml")
    assert (refused.exit_code, "no stage member any more" in refused.output) == (1, True)
    result = run("renamed.yaml", "--migrate", "member=friend")
    assert result.exit_code == 0
    assert "4 × member → friend by migrate" in said(result)


def test_a_campaign_that_waits_for_a_lost_stage_keeps_a_file_from_being_planned(run: Run, tmp_path: Path) -> None:
    (tmp_path / "silver.yaml").write_text(CLUB.replace("gold", "silver"))
    refused = run("silver.yaml", "--migrate", "gold=silver")
    assert (refused.exit_code, "waits for the stage `gold`" in refused.output) == (1, True)


def test_a_lifecycle_that_no_engine_runs_is_entered_by_everybody_and_silently(run: Run, tmp_path: Path) -> None:
    greeting = CAMPAIGN.replace("hello-gold", "hello-other").replace("club", "other").replace("gold", "guest")
    (tmp_path / "campaigns" / "hello-other.yaml").write_text(greeting)
    assert json.loads(run("other.yaml", "--format", "json").stdout)["campaigns"]["with_notify"] == []
    result = run("other.yaml")
    lines = said(result)
    assert "(enters) 5 5" in lines
    assert "5 × enters guest" in lines
    assert any("begins silently" in line for line in lines)


def test_the_file_that_is_active_changes_nothing(run: Run) -> None:
    result = run("club.yaml")
    assert result.exit_code == 0
    assert said(result) == ["club version 1 is active already: publishing this file would change nothing"]


def test_a_tenant_without_customers_is_told(run: Run) -> None:
    assert json.loads(run("gold.yaml", "--tenant", "shop", "--format", "json").stdout)["customers"]["looked_at"] == 5
    refused = run("gold.yaml", "--tenant", "shp")
    assert (refused.exit_code, "'shp'" in refused.output) == (1, True)


class CutOff(Foreseeing):
    """Somebody presses Ctrl-C after the second page of two."""

    async def pages(self, tenant: str | None = None) -> AsyncIterator[list[Foreseen]]:
        given = 0
        async for page in Foreseeing.pages(replace(self, page=2), tenant):
            given += 1
            if given == 2:
                os.kill(os.getpid(), signal.SIGINT)
            yield page


def test_ctrl_c_tells_what_was_found_so_far(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "Foreseeing", CutOff)
    result = run("gold.yaml")
    assert result.exit_code == 130
    assert "partial: ended after 4 of 5 customers" in said(result)
    assert json.loads(run("gold.yaml", "--format", "json").stdout)["complete"] is False
