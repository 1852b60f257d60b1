"""`GET /v1/customers…`: lists with counts per stage, one customer, and the why of every stage change."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query

from services.stage_engine.api.desk import Reader
from services.stage_engine.api.known import check_stage, find_lifecycle
from services.stage_engine.default_lifecycle import default_of
from services.stage_engine.domain.publishing import shown_facts
from services.stage_engine.explaining.explanation import Explaining, explanation
from services.stage_engine.in_force import Known, find_customer
from services.stage_engine.store import lifecycles, listings
from services.stage_engine.store.customers import CustomerKey
from services.stage_engine.store.listings import KeptChange, Listing, Placed
from shared.auth.tenants import Tenants
from shared.contracts.times import now_ms, to_text
from shared.http.paths import Segment
from shared.http.problems import NOT_FOUND, Problem
from shared.service import Resources

Limit = Annotated[int, Query(ge=1, le=500, description="customers or changes on a page")]
Lifecycle = Annotated[str | None, Query(description="the tenant's default where none is named")]
After = Annotated[str, Query(pattern=r"^[^\x00]*$", description="`next` of the page before")]


def customers_router(resources: Resources) -> APIRouter:
    """The routes. All need the scope customers:read and see the caller's tenant only."""
    database = resources.database
    router = APIRouter(prefix="/v1/customers", tags=["customers"])
    tenants = Tenants(database)

    @router.get("", summary="Customers of a lifecycle or stage, with counts per stage")
    async def list_customers(
        caller: Reader, lifecycle: Lifecycle = None, stage: str | None = None, after: After = "", limit: Limit = 100
    ) -> dict[str, Any]:
        async with database.reading() as transaction:
            name = lifecycle or (await default_of(transaction, caller.tenant, resources.settings)).lifecycle
            chosen = find_lifecycle(await lifecycles.newest(transaction), name)
            counts = await listings.counts(transaction, caller.tenant, name)
            if stage is not None:
                check_stage(chosen, stage, counts)
            page = await listings.placed(transaction, Listing(caller.tenant, name, stage, after, limit))
        last = page[-1].customer_id if len(page) == limit else None
        return {"lifecycle": name, "counts": counts, "customers": [_placed(each) for each in page], "next": last}

    @router.get("/{customer_id}", summary="One customer: stage in each lifecycle, since when, and facts")
    async def get_customer(caller: Reader, customer_id: Segment) -> dict[str, Any]:
        known = await find_customer(database, tenants, CustomerKey(caller.tenant, customer_id))
        if known is None:
            raise _unknown(customer_id)
        return _customer(customer_id, known)

    @router.get(
        "/{customer_id}/explanation", summary="Why a customer is where they are, and what each way out waits for"
    )
    async def get_explanation(caller: Reader, customer_id: Segment) -> dict[str, Any]:
        known = await find_customer(database, tenants, CustomerKey(caller.tenant, customer_id), with_changes=True)
        if known is None:
            raise _unknown(customer_id)
        return explanation(customer_id, known, now_ms())

    @router.get("/{customer_id}/stage-changes", summary="A customer's stage changes, each with why")
    async def get_stage_changes(
        caller: Reader, customer_id: Segment, after: int = 0, limit: Limit = 100
    ) -> dict[str, Any]:
        async with database.reading() as transaction:
            if await listings.state_of(transaction, caller.tenant, customer_id) is None:
                raise _unknown(customer_id)
            page = await listings.changes_of(transaction, caller.tenant, customer_id, after, limit)
        last = page[-1].sequence if len(page) == limit else None
        return {"customer_id": customer_id, "stage_changes": [_change(each) for each in page], "next": last}

    return router


def _unknown(customer_id: str) -> Problem:
    return Problem(NOT_FOUND, f"no event of a customer {customer_id!r} was ever applied for this tenant")


def _placed(each: Placed) -> dict[str, Any]:
    return {
        "customer_id": each.customer_id,
        "stage": each.stage,
        "since": to_text(each.entered_ms),
        "entry": each.entry,
    }


def _customer(customer_id: str, known: Known) -> dict[str, Any]:
    state, currency = known.state, known.rules.currency
    explained = Explaining(known.rules, known.definitions, state, now_ms())
    running = {each.name: each for each in known.rules.lifecycles}
    return {
        "customer_id": customer_id,
        "revision": state.revision,
        "currency": currency,
        "lifecycles": {
            name: {
                "stage": current.stage,
                "since": to_text(current.entered_ms),
                "entry": current.entries[current.stage],
                "facts": explained.own_facts(running[name]) if name in running else {},
                **(explained.at_least(running[name]) if name in running else {}),
            }
            for name, current in sorted(state.lifecycles.items())
        },
        "facts": shown_facts(state.facts, {}, currency),
    }


def _change(each: KeptChange) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.json.decode(each.data)
    data.pop("customer", None)
    return {"id": each.change_id, "effective_at": to_text(each.effective_ms), **data}
