"""Why a customer is where they are, over HTTP: by what was stored for the past, and by the rules they have met for now."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import update

from services.stage_engine.definitions.definition import parse_definition
from services.stage_engine.publications.publishing import Request, publish
from services.stage_engine.store import activations, tables
from services.stage_engine.store.activations import Stored
from shared.contracts.times import DAY_MS, MINUTE_MS, now_ms, to_text
from tests.integration.stage_engine.events import Given, append, purchase, signup, visit
from tests.integration.stage_engine.observing import rows, until, until_handled
from tests.integration.stage_engine.serving import Served, served
from tests.integration.stage_engine.stack import Stack

HAPPENED = now_ms() - 60_000
AT = Given(time_ms=HAPPENED)

CLUB = """
lifecycle: club
start: guest
facts:
  visits: {count: engagement, within: 30d}
stages: {guest: {order: 1}, member: {order: 2}, gold: {order: 3}}
transitions:
  - {id: joined, from: guest, to: member, when: "facts.revenue >= 10.0"}
  - {id: spends, from: member, to: gold, on: purchase, when: "facts.orders >= 3 && facts.nps >= 9"}
  - {id: visits, from: member, to: gold, when: "facts.visits >= 5 || facts.referrals >= 1"}
  - {id: quiet, from: member, to: guest, after: 60d, since: facts.last_purchase_at, demotion: true}
"""


@pytest.fixture
async def api(sql_stack: Stack, tmp_path: Path) -> AsyncIterator[Served]:
    """Ana has bought and visited, an id with a slash too, and another tenant has an Ana of its own."""
    file = tmp_path / "club.yaml"
    file.write_text(CLUB)
    theirs = Given(time_ms=HAPPENED, tenant="other")
    ana = [signup("ana", given=AT), purchase("ana", "o1", AT), visit("ana", "v1", AT)]
    async with served(sql_stack, lifecycles=(str(file), "customer_care", "ecommerce")) as api:
        await append(api.resources.log, [*ana, visit("shop/7 50%", given=AT), visit("ana", given=theirs)])
        await until_handled(api.resources.database, api.resources.log)
        yield api


async def test_stage_way_here_and_every_way_out_are_explained(api: Served) -> None:
    found = await api.get("/v1/customers/ana/explanation")
    assert (found["customer_id"], found["currency"]) == ("ana", "BRL")
    assert found["facts"]["revenue"] == "12.50"
    assert list(found["lifecycles"]) == ["club", "ecommerce", "customer_care"], "in the order in which they run"
    club = found["lifecycles"]["club"]
    assert (club["version"], club["stage"], club["since"], club["entry"]) == (1, "member", to_text(HAPPENED), 1)
    assert club["facts"] == {"visits": 1}
    assert club["last_change"]["transition"] == "joined"
    assert club["last_change"]["facts"] == {"revenue": "12.50"}
    assert club["last_change"]["cause"]["id"] == "o1"
    spends, visits, quiet = club["ways_out"]
    assert spends == {
        "transition": "spends",
        "to": "gold",
        "on": ["purchase"],
        "when": {
            "text": "facts.orders >= 3 && facts.nps >= 9",
            "verdict": "fails",
            "all": [
                {
                    "text": "facts.orders >= 3",
                    "verdict": "fails",
                    "reads": {"facts.orders": 1},
                    "event_counts_first": True,
                },
                {
                    "text": "facts.nps >= 9",
                    "verdict": "unknown",
                    "reads": {"facts.nps": None},
                },
            ],
        },
        "verdict": "unknown",
    }
    assert [part["verdict"] for part in visits["when"]["any"]] == ["fails", "fails"]
    due = to_text(HAPPENED + 60 * DAY_MS)
    assert quiet["after"] == {"since": "facts.last_purchase_at", "length": "P60D", "due_at": due, "verdict": "waits"}
    assert club["by_time_alone"] == {
        "transition": "quiet",
        "to": "guest",
        "settles_in": "guest",
        "effective_at": due,
        "noticed_at": to_text(HAPPENED + 60 * DAY_MS + 5 * MINUTE_MS),
    }


async def test_the_answer_can_be_asked_for_again_and_only_its_moment_differs(api: Served) -> None:
    first, second = [await api.get("/v1/customers/ana/explanation") for _ in range(2)]
    assert first.pop("at") <= second.pop("at")
    assert first == second


async def test_an_id_with_a_slash_is_explained(api: Served) -> None:
    found = await api.get("/v1/customers/shop%2F7%2050%25/explanation")
    assert found["customer_id"] == "shop/7 50%"
    assert found["lifecycles"]["club"]["stage"] == "guest"


async def test_an_unknown_customer_is_not_found(api: Served) -> None:
    assert "nobody" in (await api.get("/v1/customers/nobody/explanation", status=404))["detail"]
    await api.get("/v1/customers/shop/7%2050%25/explanation", status=404)
    await api.get("/v1/customers/a%00b/explanation", status=404)


async def test_a_tenant_is_told_of_its_own_customers_only_and_in_its_own_currency(api: Served) -> None:
    theirs = await api.get("/v1/customers/ana/explanation", api.other_admin)
    assert (theirs["lifecycles"]["club"]["stage"], theirs["currency"]) == ("guest", "USD")
    assert theirs["facts"]["orders"] == 0
    await api.get("/v1/customers/shop%2F7%2050%25/explanation", api.other_admin, status=404)


async def test_a_key_without_the_scope_or_no_key_is_told_nothing(api: Served) -> None:
    path = "/v1/customers/ana/explanation"
    assert "customers:read" in (await api.get(path, api.writer, status=403))["detail"]
    assert (await api.client.get(path)).status_code == 401


async def test_a_past_move_keeps_the_reason_of_its_day_when_the_rules_change(api: Served) -> None:
    before = (await api.get("/v1/customers/ana/explanation"))["lifecycles"]["club"]["last_change"]
    stricter = CLUB.replace("revenue >= 10.0", "revenue >= 500.0").replace("visits >= 5", "visits >= 7")
    definition = parse_definition("club.yaml", stricter)
    await publish(api.resources.database, api.resources.log, definition, Request("stricter", "tester", now_ms()))

    async def met() -> bool:
        return bool((await api.get("/v1/customers/ana/explanation"))["lifecycles"]["club"]["version"] == 2)

    await until(met, "Ana has met the new version")
    club = (await api.get("/v1/customers/ana/explanation"))["lifecycles"]["club"]
    assert club["last_change"] == before
    assert (club["last_change"]["lifecycle_version"], club["last_change"]["facts"]) == (1, {"revenue": "12.50"})
    assert club["ways_out"][1]["when"]["text"] == "facts.visits >= 7 || facts.referrals >= 1"


async def test_a_customer_who_has_not_met_a_new_version_is_explained_by_the_one_before(api: Served) -> None:
    database = api.resources.database
    stored = await rows(database, tables.activations)
    [partition] = {row["partition"] for row in await rows(database, tables.customers, customer_id="shop/7 50%")}
    [old] = [row for row in stored if row["partition"] == partition]
    async with database.transaction() as transaction:
        # As a control record leaves it, before the sweep has come to the customer.
        new = Stored(
            partition, 1, "p", "club", 2, 99, now_ms(), False, {}, {"club": 2, "ecommerce": 1, "customer_care": 1}
        )
        await transaction.write_all([activations.add([new])])
        there = tables.progress.c.partition == partition
        await transaction.execute(update(tables.progress).where(there).values(versions='{"club": 2}'))
    assert old["number"] == 0
    found = await api.get("/v1/customers/shop%2F7%2050%25/explanation")
    assert found["lifecycles"]["club"]["version"] == 1
