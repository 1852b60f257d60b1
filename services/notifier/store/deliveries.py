"""Plans and outcomes: rows that are inserted once and never changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Select, select

from services.notifier.domain.campaign import CampaignClass
from services.notifier.domain.change import Place
from services.notifier.domain.delivery import Channel, Ending, Planned, Story
from services.notifier.store import outbox, queue, tables
from shared.db.port import Row, Transaction

COLUMNS = tuple(column.name for column in tables.deliveries.columns)
_OUTCOMES = tuple(column.name for column in tables.outcomes.columns)
_CHANGES = tuple(column.name for column in tables.changes.columns)


async def plan(tx: Transaction, planned: Sequence[Planned], endings: Sequence[Ending], now_ms: int) -> int:
    """Insert what is new, queue what is to be sent, close what is not. Gives how many had been planned before."""
    everything = [*planned, *(ending.planned for ending in endings)]
    rows = await tx.insert_new(tables.deliveries, COLUMNS, [_row(one) for one in everything], ("id",))
    new = {row[0] for row in rows}
    await queue.add(tx, [one for one in planned if one.id in new])
    await _close(tx, [ending for ending in endings if ending.planned.id in new], now_ms)
    return len(everything) - len(new)


async def finish(tx: Transaction, endings: Sequence[Ending], now_ms: int) -> None:
    """Close deliveries whose queue rows are locked in this transaction."""
    await queue.remove(tx, [ending.planned.id for ending in endings])
    await _close(tx, endings, now_ms)


async def _close(tx: Transaction, endings: Sequence[Ending], now_ms: int) -> None:
    rows = [(one.planned.id, one.outcome, one.reason, one.detail[:1000], one.attempts, now_ms) for one in endings]
    await tx.upsert(tables.outcomes, _OUTCOMES, rows)
    await outbox.add(tx, [outbox.outcome_record(one, now_ms) for one in endings])


async def load(tx: Transaction, ids: Sequence[str]) -> dict[str, Planned]:
    """Plans by id."""
    rows = await tx.select_many(tables.deliveries, ("id",), [(one,) for one in ids], COLUMNS)
    return {row[0]: planned_of(row) for row in rows}


async def tell(tx: Transaction, tenant: str, stories: Sequence[Story]) -> None:
    """Keep what happened, for the deliveries planned from it."""
    rows = [(tenant, one.change_id, one.effective_ms, one.data, one.customer, one.traceparent) for one in stories]
    await tx.insert_new(tables.changes, _CHANGES, rows, ("change_id",))


async def stories(tx: Transaction, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Story]:
    """What happened, by (tenant, change id)."""
    rows = await tx.select_many(tables.changes, ("tenant", "change_id"), keys, _CHANGES)
    return {(row[0], row[1]): Story(row[1], row[2], bytes(row[3]), bytes(row[4]), row[5]) for row in rows}


@dataclass(frozen=True, slots=True)
class State:
    """A delivery as it stands: waiting with its next time, or ended. Times are milliseconds."""

    planned: Planned
    next_ms: int | None
    leased: bool
    attempts: int
    outcome: str | None
    reason: str | None
    detail: str
    finished_ms: int | None


def with_state(tenant: str) -> Select[Any]:
    """A tenant's plans, each with its queue row or its outcome, the newest first; for `states`."""
    plan, waiting, ended = tables.deliveries, tables.due, tables.outcomes
    queued = (waiting.c.due_ms, waiting.c.lease_token, waiting.c.attempts)
    final = (ended.c.attempts, ended.c.outcome, ended.c.reason, ended.c.detail, ended.c.finished_ms)
    joined = plan.outerjoin(waiting, waiting.c.id == plan.c.id).outerjoin(ended, ended.c.id == plan.c.id)
    return (
        select(*plan.columns, *queued, *final)
        .select_from(joined)
        .where(plan.c.tenant == tenant)
        .order_by(plan.c.planned_ms.desc(), plan.c.id.desc())
    )


async def states(tx: Transaction, chosen: Select[Any]) -> list[State]:
    """The deliveries that a `with_state` selects."""
    return [_state(tuple(row)) for row in await tx.execute(chosen)]


async def find(tx: Transaction, tenant: str, delivery_id: str) -> State | None:
    """One of this tenant's; None for an unknown one and for another tenant's alike."""
    found = await states(tx, with_state(tenant).where(tables.deliveries.c.id == delivery_id))
    return found[0] if found else None


async def reopen(tx: Transaction, planned: Planned, now_ms: int) -> None:
    """Queue a finished delivery again, for now."""
    await tx.delete_many(tables.outcomes, ("id",), [(planned.id,)])
    await queue.add(tx, [replace(planned, due_ms=now_ms)])


def _state(row: Sequence[Any]) -> State:
    plan, (next_ms, token, tried), (made, outcome, reason, detail, finished_ms) = row[:-8], row[-8:-5], row[-5:]
    attempts = made if outcome is not None else tried or 0
    return State(planned_of(plan), next_ms, bool(token), attempts, outcome, reason, detail or "", finished_ms)


def _row(one: Planned) -> Row:
    place = (one.lifecycle, one.place.stage, one.place.entry, one.while_in_stage)
    times = (one.effective_ms, one.planned_ms, one.due_ms)
    what = (one.campaign, one.step, one.template, one.klass)
    where = (one.channel, one.endpoint, one.change_id)
    return (one.id, one.tenant, one.customer_id, *where, *times, *what, *place, one.subscription_id)


def planned_of(row: Sequence[Any]) -> Planned:
    """A plan from its row, columns in the order of `COLUMNS`."""
    kept = dict(zip(COLUMNS, row, strict=True))
    return Planned(
        id=kept["id"],
        tenant=kept["tenant"],
        customer_id=kept["customer_id"],
        channel=Channel(kept["channel"]),
        endpoint=kept["endpoint"],
        change_id=kept["change_id"],
        effective_ms=kept["effective_ms"],
        planned_ms=kept["planned_ms"],
        due_ms=kept["due_ms"],
        campaign=kept["campaign"],
        step=kept["step"],
        template=kept["template"],
        klass=CampaignClass(kept["class"]),
        lifecycle=kept["lifecycle"],
        place=Place(kept["stage"], kept["entry"]),
        while_in_stage=bool(kept["while_in_stage"]),
        subscription_id=kept["subscription_id"],
    )
