"""What became of each delivery: of one customer, or to one endpoint; and sending one again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel
from sqlalchemy import Select, and_, or_

from services.notifier.api.reading import Cursor, Desk, Limit, Place, not_found, read_cursor, write_cursor
from services.notifier.store import attempts, deliveries, subscriptions, tables
from services.notifier.store.attempts import LoggedAttempt
from services.notifier.store.deliveries import State
from services.notifier.store.queue import PARKED_MS
from shared.auth.dependency import require
from shared.auth.scopes import Caller, Scope
from shared.contracts.times import to_text
from shared.http.paths import Segment
from shared.http.problems import CONFLICT, Problem

Reader = Annotated[Caller, Depends(require(Scope.CUSTOMERS_READ))]
Writer = Annotated[Caller, Depends(require(Scope.CAMPAIGNS_WRITE))]


class AttemptOut(BaseModel):
    """One attempt; `status_code` is null when no answer came."""

    number: int
    at: str
    duration_ms: int
    status_code: int | None
    error: str


class DeliveryOut(BaseModel):
    """A delivery. `status` is waiting, sending, parked, or how it ended: sent, suppressed, cancelled, failed."""

    id: str
    customer_id: str
    channel: str
    campaign: str | None
    step: str | None
    subscription_id: str | None
    stage_change_id: str
    status: str
    reason: str | None
    detail: str
    planned_at: str
    due_at: str | None
    finished_at: str | None
    attempts: int
    log: list[AttemptOut]


class DeliveriesOut(BaseModel):
    """Some deliveries, the newest first; `next` is set while there are more."""

    deliveries: list[DeliveryOut]
    next: str | None


def router(desk: Desk) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["deliveries"])

    @routes.get("/v1/customers/{customer_id}/deliveries", response_model=DeliveriesOut)
    async def of_customer(
        customer_id: Segment, caller: Reader, limit: Limit = 50, cursor: Cursor = ""
    ) -> DeliveriesOut:
        """Everything planned for a customer, with what became of it and why; empty for one nobody planned for."""
        chosen = deliveries.with_state(caller.tenant).where(tables.deliveries.c.customer_id == customer_id)
        return await _page(desk, chosen, limit, cursor)

    @routes.get("/v1/subscriptions/{subscription_id}/deliveries", response_model=DeliveriesOut)
    async def of_subscription(
        subscription_id: Segment, caller: Writer, limit: Limit = 50, cursor: Cursor = ""
    ) -> DeliveriesOut:
        """The delivery log of an endpoint."""
        async with desk.database.reading() as tx:
            if await subscriptions.find(tx, caller.tenant, subscription_id, desk.clock()) is None:
                raise not_found("subscription", subscription_id)
        chosen = deliveries.with_state(caller.tenant).where(tables.deliveries.c.subscription_id == subscription_id)
        return await _page(desk, chosen, limit, cursor)

    @routes.post("/v1/deliveries/{delivery_id}/redeliver", status_code=202, response_model=DeliveryOut)
    async def redeliver(delivery_id: Segment, caller: Writer) -> DeliveryOut:
        """Post a finished webhook again, under the same id, so that the receiver can tell."""
        async with desk.database.transaction() as tx:
            found = await deliveries.find(tx, caller.tenant, delivery_id)
            if found is None or not found.planned.subscription_id:
                raise not_found("webhook delivery", delivery_id)
            if found.next_ms is not None:
                raise Problem(CONFLICT, "it is not finished yet; it will be attempted again by itself")
            if not await deliveries.reopen(tx, found.planned, desk.clock()):
                raise Problem(CONFLICT, "somebody else has just sent it again, or it was trimmed; look at it once more")
            tx.after_commit(desk.wake)
        return (await _page(desk, _one(caller.tenant, delivery_id), 1, "")).deliveries[0]

    return routes


def _one(tenant: str, delivery_id: str) -> Select[Any]:
    return deliveries.with_state(tenant).where(tables.deliveries.c.id == delivery_id)


async def _page(desk: Desk, chosen: Select[Any], limit: int, cursor: str) -> DeliveriesOut:
    if place := read_cursor(cursor):
        chosen = chosen.where(_behind(place))
    async with desk.database.reading() as tx:
        states = await deliveries.states(tx, chosen.limit(limit + 1))
        made = await attempts.of_deliveries(tx, [one.planned.id for one in states[:limit]])
    shown = states[:limit]
    last = Place(shown[-1].planned.planned_ms, shown[-1].planned.id) if len(states) > limit else None
    return DeliveriesOut(
        deliveries=[_out(one, made.get(one.planned.id, ())) for one in shown],
        next=write_cursor(last) if last else None,
    )


def _behind(place: Place) -> Any:
    table = tables.deliveries.c
    same = and_(table.planned_ms == place.planned_ms, table.id < place.id)
    return or_(table.planned_ms < place.planned_ms, same)


def _status(state: State) -> str:
    if state.outcome is not None:
        return state.outcome
    if state.next_ms is not None and state.next_ms >= PARKED_MS:
        return "parked"
    return "sending" if state.leased else "waiting"


def _out(state: State, made: Sequence[LoggedAttempt]) -> DeliveryOut:
    planned = state.planned
    waits = state.next_ms is not None and state.next_ms < PARKED_MS and not state.leased
    return DeliveryOut(
        id=planned.id,
        customer_id=planned.customer_id,
        channel=planned.channel,
        campaign=planned.campaign or None,
        step=planned.step or None,
        subscription_id=planned.subscription_id or None,
        stage_change_id=planned.change_id,
        status=_status(state),
        reason=state.reason,
        detail=state.detail,
        planned_at=to_text(planned.planned_ms),
        due_at=to_text(state.next_ms) if waits and state.next_ms is not None else None,
        finished_at=to_text(state.finished_ms) if state.finished_ms is not None else None,
        attempts=state.attempts,
        log=[_attempt(one) for one in made],
    )


def _attempt(one: LoggedAttempt) -> AttemptOut:
    return AttemptOut(
        number=one.number,
        at=to_text(one.started_ms),
        duration_ms=one.duration_ms,
        status_code=one.status_code,
        error=one.error,
    )
