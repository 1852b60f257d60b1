"""Plans and outcomes: rows that are inserted once and never changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Select, select

from services.notifier.domain.campaign import CampaignClass
from services.notifier.domain.change import Place
from services.notifier.domain.delivery import Channel, Ending, Planned, Story
from services.notifier.store import outbox, queue, tables
from shared.db.port import Action, Row, Transaction, Write

COLUMNS = tuple(column.name for column in tables.deliveries.columns)
_OUTCOMES = tuple(column.name for column in tables.outcomes.columns)
STORY_COLUMNS = tuple(column.name for column in tables.changes.columns)


async def insert_new(tx: Transaction, planned: Collection[Planned]) -> frozenset[str]:
    """Insert the plans that are new; gives their ids. The others had been planned before."""
    rows = await tx.insert_new(tables.deliveries, COLUMNS, [_row(one) for one in planned], ("id",))
    return frozenset(row[0] for row in rows)


def finish(endings: Sequence[Ending], now_ms: int) -> list[Write]:
    """Close deliveries whose queue rows are locked in this transaction."""
    return [queue.remove([ending.planned.id for ending in endings]), *close(endings, now_ms)]


def close(endings: Sequence[Ending], now_ms: int) -> list[Write]:
    """Keep and publish how deliveries ended that are not queued."""
    rows = [(one.planned.id, one.outcome, one.reason, one.detail[:1000], one.attempts, now_ms) for one in endings]
    return [
        Write(Action.UPSERT, tables.outcomes, _OUTCOMES, rows),
        outbox.add([outbox.outcome_record(one, now_ms) for one in endings]),
    ]


def tell(stories: Mapping[tuple[str, str], Story]) -> Write:
    """Keep what happened, by (tenant, change id), for the deliveries planned from it."""
    rows = [
        (tenant, one.change_id, one.effective_ms, one.data, one.customer, one.traceparent)
        for (tenant, _), one in stories.items()
    ]
    return Write(Action.INSERT_NEW, tables.changes, STORY_COLUMNS, rows)


def story_of(row: Sequence[Any]) -> Story:
    """A story from its row, columns in the order of `STORY_COLUMNS`."""
    return Story(row[1], row[2], bytes(row[3]), bytes(row[4]), row[5])


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


async def reopen(tx: Transaction, planned: Planned, now_ms: int) -> bool:
    """Queue a finished delivery again, for now; False if it is not finished any more, or has just been trimmed."""
    if not await tx.delete_many(tables.outcomes, ("id",), [(planned.id,)]):
        return False
    await tx.write_all([queue.add([replace(planned, due_ms=now_ms)])])
    return True


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
