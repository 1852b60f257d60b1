"""What people ask over HTTP: who is in which stage, since when and why; each tenant its own, each key by its scopes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import update

from services.stage_engine.domain.publishing import change_id
from services.stage_engine.store.tables import stages
from shared.contracts.times import now_ms, to_text
from tests.integration.stage_engine.events import Given, append, purchase, signup
from tests.integration.stage_engine.observing import until_handled
from tests.integration.stage_engine.serving import Served, served, unregistered
from tests.integration.stage_engine.stack import Stack

HAPPENED = now_ms() - 60_000
CARE_STAGES = "escalated, overdue, reopened, complaint_open, answered, no_complaint, resolved"


def _events() -> list[Any]:
    at = Given(time_ms=HAPPENED)
    theirs = Given(time_ms=HAPPENED, tenant="other")
    leads = [signup(f"lead-{n}", given=at) for n in range(5)]
    return [*leads, signup("ana", given=at), purchase("ana", "o1", at), signup("ana", given=theirs)]


@pytest.fixture
async def api(sql_stack: Stack) -> AsyncIterator[Served]:
    async with served(sql_stack) as api:
        await append(api.resources.log, _events())
        await until_handled(api.resources.database, api.resources.log)
        yield api


async def test_customers_are_listed_with_counts_per_stage(api: Served) -> None:
    everybody = await api.get("/v1/customers")
    assert everybody["lifecycle"] == "ecommerce"
    assert everybody["counts"] == {"first_time_customer": 1, "lead": 5}
    assert [each["customer_id"] for each in everybody["customers"]] == ["ana", *(f"lead-{n}" for n in range(5))]
    assert everybody["customers"][0] == {
        "customer_id": "ana",
        "stage": "first_time_customer",
        "since": to_text(HAPPENED),
        "entry": 1,
    }
    chosen = await api.get("/v1/customers?stage=first_time_customer")
    assert [each["customer_id"] for each in chosen["customers"]] == ["ana"]
    care = await api.get("/v1/customers?lifecycle=customer_care")
    assert care["counts"] == {"no_complaint": 6}


@pytest.mark.parametrize(
    ("asked", "parameter", "named", "meant"),
    [
        ("lifecycle=ecomerce", "lifecycle", "customer_care, ecommerce", "ecommerce"),
        ("lifecycle=%00", "lifecycle", "customer_care, ecommerce", None),
        ("lifecycle=customer_care&stage=lead", "stage", CARE_STAGES, None),
        ("stage=repeat_costumer", "stage", "prospect, lead, churned, at_risk", "repeat_customer"),
        ("stage=", "stage", "prospect, lead, churned", None),
    ],
)
async def test_a_lifecycle_or_stage_that_does_not_exist_is_refused_with_those_that_do(
    api: Served, asked: str, parameter: str, named: str, meant: str | None
) -> None:
    refused = await api.get(f"/v1/customers?{asked}", status=422)
    assert refused["type"] == "urn:jornada:problem:invalid-request"
    assert named in refused["detail"]
    (error,) = refused["errors"]
    assert error["detail"].startswith(f"query parameter {parameter}: ")
    assert error["advice"] == f'did you mean "{meant}"?' if meant else named in error["advice"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("?stages=lead", 'did you mean "stage"?'),
        ("?stage=lead&utm=1", "known here: after, lifecycle, limit, stage"),
        ("/ana/explanation?lifecycle=ecommerce", "leave it out"),
    ],
)
async def test_a_parameter_that_nobody_reads_is_refused_rather_than_passed_over(
    api: Served, asked: str, told: str
) -> None:
    refused = await api.get(f"/v1/customers{asked}", status=422)
    assert refused["errors"][0]["advice"] == told
    unknown = {"Authorization": "Bearer jrn_none.of"}
    await api.ask("GET", f"/v1/customers{asked}", status=401, headers=unknown)


async def test_a_stage_that_nobody_is_in_is_an_empty_list(api: Served) -> None:
    nobody = await api.get("/v1/customers?stage=churned")
    assert (nobody["customers"], nobody["next"]) == ([], None)


async def test_a_stage_that_its_lifecycle_no_longer_has_can_be_asked_for_while_somebody_is_in_it(
    api: Served,
) -> None:
    async with api.resources.database.transaction() as transaction:
        await transaction.execute(update(stages).where(stages.c.stage == "lead").values(stage="former"))
    assert len((await api.get("/v1/customers?stage=former"))["customers"]) == 5
    await api.get("/v1/customers?stage=former", api.other_admin)
    refused = await api.get("/v1/customers?stage=formr", status=422)
    assert "former" in refused["detail"]


async def test_before_an_engine_has_registered_its_lifecycles_the_list_says_so(sqlite_stack: Stack) -> None:
    await sqlite_stack.create()
    async with unregistered(sqlite_stack) as api:
        answer = await api.ask("GET", "/v1/customers", status=503)
        assert answer.headers["retry-after"] == "1"


async def test_a_long_list_comes_in_pages_that_neither_skip_nor_repeat(api: Served) -> None:
    found, after, pages = [], "", 0
    while after is not None:
        page = await api.get(f"/v1/customers?stage=lead&limit=2&after={after}")
        found += [each["customer_id"] for each in page["customers"]]
        after, pages = page["next"], pages + 1
    assert found == [f"lead-{n}" for n in range(5)]
    assert pages == 3


async def test_one_customer_has_stage_since_and_facts(api: Served) -> None:
    ana = await api.get("/v1/customers/ana")
    assert ana["lifecycles"] == {
        "customer_care": {
            "stage": "no_complaint",
            "since": to_text(HAPPENED),
            "entry": 1,
            "facts": {"reopened_90d": 0},
        },
        "ecommerce": {
            "stage": "first_time_customer",
            "since": to_text(HAPPENED),
            "entry": 1,
            "facts": {"severe_complaints": 0},
        },
    }
    assert (ana["customer_id"], ana["revision"], ana["currency"]) == ("ana", 2, "BRL")
    assert ana["facts"]["orders"] == 1
    assert ana["facts"]["revenue"] == "12.50"
    assert ana["facts"]["last_purchase_at"] == to_text(HAPPENED)


async def test_stage_changes_say_why(api: Served) -> None:
    answer = await api.get("/v1/customers/ana/stage-changes")
    assert [each["sequence"] for each in answer["stage_changes"]] == [1, 2, 3, 4]
    last = answer["stage_changes"][-1]
    assert last["id"] == change_id("acme", "ana", 4)
    assert (last["from"], last["to"], last["transition"]) == ("lead", "first_time_customer", "first_purchase")
    assert last["cause"] == {"kind": "event", "id": "o1", "type": "purchase", "time": to_text(HAPPENED)}
    assert last["effective_at"] == to_text(HAPPENED)
    assert "customer" not in last
    rest = await api.get("/v1/customers/ana/stage-changes?after=2&limit=1")
    assert [each["sequence"] for each in rest["stage_changes"]] == [3]
    assert rest["next"] == 3


async def test_an_unknown_customer_is_not_found(api: Served) -> None:
    for path in ("/v1/customers/nobody", "/v1/customers/nobody/stage-changes"):
        answer = await api.get(path, status=404)
        assert "nobody" in answer["detail"]


async def test_a_tenant_sees_its_own_customers_only(api: Served) -> None:
    theirs = await api.get("/v1/customers", api.other_admin)
    assert [each["customer_id"] for each in theirs["customers"]] == ["ana"]
    assert theirs["counts"] == {"lead": 1}
    ana = await api.get("/v1/customers/ana", api.other_admin)
    assert (ana["lifecycles"]["ecommerce"]["stage"], ana["currency"]) == ("lead", "USD")
    changes = await api.get("/v1/customers/ana/stage-changes", api.other_admin)
    assert [each["to"] for each in changes["stage_changes"]] == ["prospect", "lead", "no_complaint"]
    await api.get("/v1/customers/lead-1", api.other_admin, status=404)


async def test_a_key_without_the_scope_or_no_key_reads_nothing(api: Served) -> None:
    for path in ("/v1/customers", "/v1/customers/ana", "/v1/customers/ana/stage-changes"):
        assert "customers:read" in (await api.get(path, api.writer, status=403))["detail"]
        assert (await api.client.get(path)).status_code == 401


async def test_readiness_and_liveness_answer(api: Served) -> None:
    ready = await api.get("/readyz")
    assert ready["ready"] is True
    assert (await api.get("/livez"))["alive"] is True


@pytest.mark.parametrize("odd", ["%00", "a%00b", "x" * 9_000])
async def test_odd_customer_ids_are_simply_not_found(api: Served, odd: str) -> None:
    await api.get(f"/v1/customers/{odd}", status=404)


@pytest.mark.parametrize("asked", ["limit=0", "limit=501", "limit=many", "after=a%00b"])
async def test_a_wrong_page_is_refused_by_name(api: Served, asked: str) -> None:
    assert asked.partition("=")[0] in str(await api.get(f"/v1/customers?{asked}", status=422))
