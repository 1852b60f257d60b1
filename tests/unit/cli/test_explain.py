"""`jornada explain`: the same answer as over HTTP, for programs and for people, from a database file."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli.main import app
from services.stage_engine.definitions.definition import parse_definition
from services.stage_engine.domain.advance import NEW_CUSTOMER, advance
from services.stage_engine.domain.decision import Applied, StageChange
from services.stage_engine.domain.event import Event, Origin
from services.stage_engine.domain.lifecycle import Rules
from services.stage_engine.domain.publishing import publish_change
from services.stage_engine.store import activations, customers, lifecycles
from services.stage_engine.store.activations import Stored
from services.stage_engine.store.customers import CustomerKey
from shared.auth.keys import KeyRequest, Keys
from shared.contracts.times import now_ms, to_text
from shared.db.connect import connect

Run = Callable[..., Any]
NOW = now_ms()
CUSTOMER = "c[/b]-42"

CLUB = """\
lifecycle: club
start: guest
facts:
  channel: {last: channel, of: engagement}
  rhythm: {average_gap: purchase}
stages:
  guest: {order: 1}
  member: {order: 2}
  gold: {order: 3, end: true}
transitions:
  - {id: joined, from: guest, to: member, when: "facts.orders >= 1"}
  - {id: spends, from: member, to: gold, on: [purchase, purchase_refunded],  # noqa: E501
     when: "facts.orders >= 3 && (event.currency == 'EUR' || facts.nps >= 9)"}
  - {id: odd, from: member, to: gold, when: "10 / facts.referrals > 5 || facts.channel == '[red]'"}
  - {id: quiet, from: member, to: guest, after: 61d, since: facts.last_purchase_at, demotion: true}
  - {id: rests, from: member, to: guest, after: {fact: rhythm, times: 2}, demotion: true}
"""


def events() -> list[Event]:
    def event(identity: str, type_: str, **data: Any) -> Event:
        return Event.taken(Origin("shop", CUSTOMER, identity, type_), NOW, NOW, backfill=False, data=data)

    visit = event("v1", "engagement", channel="ad[/x]")
    return [visit, event("o[b]", "purchase", order_id="1", amount="10.00", currency="BRL")]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `jornada …` on a database in which one customer has bought once."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'jornada.db'}"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JORNADA_DATABASE_URL", url)
    runner = CliRunner()
    assert runner.invoke(app, ["migrate"]).exit_code == 0
    asyncio.run(_live(url))
    return lambda *words: runner.invoke(app, ["explain", *words], catch_exceptions=False)


async def _live(url: str) -> None:
    """What an engine leaves behind of the customer."""
    definition = parse_definition("club.yaml", CLUB)
    rules, state = Rules((definition.compile(1, "BRL"),), "BRL"), NEW_CUSTOMER
    changes: list[StageChange] = []
    for event in events():
        decision = advance(rules, state, event)
        assert isinstance(decision, Applied)
        state = decision.state
        changes += decision.changes
    key = CustomerKey("shop", CUSTOMER)
    published = [(change, publish_change(change, *key, "BRL")) for change in changes]
    kept = [(*key, each.sequence, told.change_id, each.effective_ms, told.kept) for each, told in published]
    began = Stored(3, 0, "start", "", 0, 0, 0, False, {}, {"club": 1})
    database = connect(url)
    try:
        await Keys(database, "BRL").create(KeyRequest("shop", ["customers:read"]))
        async with database.transaction() as transaction:
            await lifecycles.add(transaction, lifecycles.Stored("club", 1, definition.digest, CLUB), NOW)
            writes = [
                activations.add([began]),
                customers.states_write(3, {key: state}),
                customers.stage_changes_write(kept),
            ]
            await transaction.write_all(writes)
    finally:
        await database.close()


def test_programs_get_what_the_api_answers(run: Run) -> None:
    result = run(CUSTOMER, "--tenant", "shop", "--format", "json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert list(found) == ["customer_id", "at", "currency", "facts", "lifecycles"]
    club = found["lifecycles"]["club"]
    assert list(club) == [
        "version", "stage", "since", "entry", "facts", "ways_out", "by_time_alone", "last_change",
    ]  # fmt: skip
    assert (club["stage"], club["last_change"]["transition"]) == ("member", "joined")
    assert [way["verdict"] for way in club["ways_out"]] == ["waits", "error", "waits", "unknown"]


def test_people_get_a_tree_in_words(run: Run) -> None:
    result = run(CUSTOMER, "--tenant", "shop")
    assert result.exit_code == 0
    said = [" ".join(line.split()) for line in result.stdout.splitlines()]
    day = {"now": _words(NOW), "due": _words(NOW + 61 * 86_400_000)}
    assert said[0].startswith(f"{CUSTOMER} · ")
    assert "orders 1" in said
    tree = said[next(number for number, line in enumerate(said) if line.startswith("club")) :]
    assert tree[:-1] == [
        f"club version 1: member since {day['now']}",
        f"├── came from guest by joined: purchase o[b] of {day['now']} (orders was 1)",
        "├── channel is ad[/x]",
        "├── waits → gold by spends, on purchase or purchase_refunded",
        "│ └── fails all of",
        "│ ├── fails facts.orders >= 3 facts.orders is 1; the event counts first",
        "│ └── waits any of",
        "│ ├── waits event.currency == 'EUR'",
        "│ └── unknown facts.nps >= 9 facts.nps is unknown",
        "├── error → gold by odd",
        "│ └── error any of",
        "│ ├── error 10 / facts.referrals > 5 facts.referrals is 0; INVALID_ARGUMENT: divide by zero",
        "│ └── fails facts.channel == '[red]' facts.channel is ad[/x]",
        "├── waits → guest by quiet",
        f"│ └── waits until {day['due']}: 61 days after facts.last_purchase_at",
        "├── unknown → guest by rests",
        "│ └── unknown as long as facts.rhythm says after entering the stage; facts.rhythm is unknown",
        f"└── by time alone → guest by quiet at {day['due']}, noticed by {_words(NOW + 61 * 86_400_000 + 300_000)}",
    ]


def _words(milliseconds: int) -> str:
    text = to_text(milliseconds)
    return f"{text[:10]} {text[11:19]} UTC"


@pytest.mark.parametrize("words", [("nobody", "--tenant", "shop"), (CUSTOMER, "--tenant", "another"), (CUSTOMER,)])
def test_a_customer_who_was_never_heard_of_is_one_clear_message(run: Run, words: tuple[str, ...]) -> None:
    result = run(*words)
    assert result.exit_code == 1
    assert "there is no tenant" in result.output or "--tenant says whose customers to look among" in result.output
    assert "Traceback" not in result.output


def test_a_database_that_is_not_there_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JORNADA_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'none.db'}")
    result = CliRunner().invoke(app, ["explain", "ana"])
    assert result.exit_code == 1
    said = " ".join(result.output.split())
    assert f"there is no database at {tmp_path}/none.db: start in the folder where `jornada up` runs" in said


def test_help_says_what_the_exit_code_means() -> None:
    assert "Exit code: 0" in CliRunner().invoke(app, ["explain", "--help"]).output
