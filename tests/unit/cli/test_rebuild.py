"""`jornada rebuild` as a person and as a program meet it, on a database file that an engine has left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from services.cli.lifecycles import rebuilding
from services.cli.main import app
from services.stage_engine.definitions.definition import parse_definition
from services.stage_engine.domain.event import Event, Origin
from services.stage_engine.domain.lifecycle import Rules
from services.stage_engine.rebuilding import Page, Rebuild
from services.stage_engine.store import customers
from services.stage_engine.store.customers import CustomerKey
from shared.contracts.times import now_ms
from shared.db.port import Database
from tests.unit.cli.left_behind import PARTITION, leave, lived, on_database

Run = Callable[..., Any]
NOW = now_ms()
CLUB = """\
lifecycle: club
start: guest
stages: {guest: {order: 1}, member: {order: 2}}
transitions:
  - {id: joined, from: guest, to: member, on: purchase}
"""
ORDERS = {"[b]ana": 2, "bia": 1, "caio": 0}
"""How often each customer of the tenant `shop` has bought."""
RULES = Rules((parse_definition("club.yaml", CLUB).compile(1, "BRL"),), "BRL")


@pytest.fixture
def run(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `jornada rebuild …` on a database in which every customer's state is what their history gives."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JORNADA_DATABASE_URL", url)
    assert CliRunner().invoke(app, ["migrate"]).exit_code == 0
    on_database(url, lambda database: leave(database, CLUB, {name: events(name) for name in ORDERS}))
    return lambda *words: CliRunner().invoke(app, ["rebuild", *words], catch_exceptions=False)


def events(customer: str) -> list[Event]:
    order = {"order_id": "1", "amount": "10.00", "currency": "BRL"}
    signup = Event.taken(Origin("shop", customer, "signup", "signup"), NOW, NOW, backfill=False, data={})
    return [signup] + [
        Event.taken(Origin("shop", customer, f"o{number}", "purchase"), NOW, NOW, backfill=False, data=order)
        for number in range(ORDERS[customer])
    ]


def mistake(url: str, customer: str) -> None:
    """Somebody has written another revision into a customer's state."""

    async def write(database: Database) -> None:
        wrong = msgspec.structs.replace(lived(RULES, events(customer)), revision=77)
        async with database.transaction() as transaction:
            await transaction.write_all([customers.states_write(PARTITION, {CustomerKey("shop", customer): wrong})])

    on_database(url, write)


def test_nothing_differs_where_nobody_has_written_but_the_engine(run: Run) -> None:
    result = run()
    assert (result.exit_code, result.stdout) == (0, "3 customers with 6 events lived again: 0 differences\n")
    assert "" not in result.stderr.splitlines(), "a bar leaves nothing behind where there is no terminal"
    told = run("--format", "json")
    assert told.exit_code == 0
    assert json.loads(told.stdout) == {"complete": True, "customers": 3, "events": 6, "differences": []}


def test_people_are_told_who_differs_and_in_what_and_it_exits_with_1(run: Run, url: str) -> None:
    mistake(url, "[b]ana")
    result = run()
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "shop:[b]ana differs",
        "  revision: stored 77, lived again 3",
        "3 customers with 6 events lived again: 1 differences",
    ]


def test_programs_are_told_the_fields_as_stored_and_as_lived_again(run: Run, url: str) -> None:
    mistake(url, "bia")
    result = run("--format", "json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["differences"] == [
        {"tenant": "shop", "customer_id": "bia", "fields": {"revision": [77, 2]}}
    ]


def test_one_customer_may_be_named(run: Run, url: str) -> None:
    mistake(url, "bia")
    alone = run("--tenant", "shop", "--customer", "[b]ana", "--format", "json")
    assert (alone.exit_code, json.loads(alone.stdout)["events"]) == (0, 3)
    assert run("--tenant", "shop", "--customer", "bia").exit_code == 1


def test_of_many_that_differ_the_first_are_told_and_how_many_more(
    run: Run, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "_MOST_SHOWN", 0)
    mistake(url, "bia")
    assert "… and 1 more; --format json lists all" in run().stdout


def test_a_tenant_alone_is_refused(run: Run) -> None:
    result = run("--tenant", "shop")
    assert (result.exit_code, "--tenant says whose --customer is meant" in result.output) == (1, True)


def test_a_customer_of_whom_nothing_is_known_is_told(run: Run) -> None:
    refused = run("--customer", "bia")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "no event of a customer 'bia' was ever applied for the tenant 'demo'" in " ".join(refused.stderr.split())


def test_a_bar_counts_customers_beside_the_answer(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    result = run("--format", "json")
    assert "━" in result.stderr
    assert "3/3" in result.stderr
    assert json.loads(result.stdout)["customers"] == 3


class CutOff(Rebuild):
    """Somebody presses Ctrl-C after the second customer of three."""

    async def pages(self, only: CustomerKey | None = None) -> AsyncGenerator[Page, None]:
        given = 0
        async for page in Rebuild.pages(replace(self, page=1), only):
            given += 1
            if given == 2:
                os.kill(os.getpid(), signal.SIGINT)
            yield page


def test_ctrl_c_tells_what_was_found_so_far(run: Run, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mistake(url, "bia")
    monkeypatch.setattr(rebuilding, "Rebuild", CutOff)
    result = run()
    assert result.exit_code == 130
    assert result.stdout.splitlines() == [
        "shop:bia differs",
        "  revision: stored 77, lived again 2",
        "partial: ended after 2 of 3 customers",
        "2 customers with 5 events lived again: 1 differences",
    ]
    told = run("--format", "json")
    assert told.exit_code == 130
    assert (json.loads(told.stdout)["complete"], json.loads(told.stdout)["customers"]) == (False, 2)


class CutOffAtOnce(Rebuild):
    """Somebody presses Ctrl-C before the first customer was looked at."""

    async def size(self, only: CustomerKey | None = None) -> int:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0)
        return await Rebuild.size(self, only)


def test_ctrl_c_before_anything_was_found_tells_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuilding, "Rebuild", CutOffAtOnce)
    result = run()
    assert (result.exit_code, result.stdout) == (130, "")
