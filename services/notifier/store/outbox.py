"""What waits to be published. Rows are deleted once the log has them, so nothing depends on the order of commits.

Most outboxes keep a cursor and must therefore number rows in commit order, behind one lock for all writers. Here a row
is an outcome with an id of its own, order between them means nothing, and reading is "whatever is still there".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import func, select

from services.notifier.domain.delivery import Channel, Ending
from services.notifier.store import tables
from shared.contracts.cloudevent import Produced, encode_produced, record_key
from shared.contracts.outcomes import CAMPAIGN_OUTCOME_TYPE, NOTIFIER_SOURCE, CampaignOutcome
from shared.contracts.topics import Topic
from shared.db.port import Action, Transaction, Write


class Unpublished(NamedTuple):
    """One record to publish; `id` is the event's own and never changes between attempts."""

    id: str
    topic: str
    key: bytes
    value: bytes
    type: str
    traceparent: str | None
    created_ms: int


def add(rows: Sequence[Unpublished]) -> Write:
    """Publish these once the transaction has committed; an id that waits already is left as it is."""
    return Write(Action.INSERT_NEW, tables.outbox, Unpublished._fields, rows)


async def oldest(tx: Transaction, most: int) -> list[Unpublished]:
    """The longest waiting rows."""
    table = tables.outbox.c
    columns = [table[name] for name in Unpublished._fields]
    rows = await tx.execute(select(*columns).order_by(table.created_ms, table.id).limit(most))
    return [Unpublished._make(row) for row in rows]


async def remove(tx: Transaction, rows: Sequence[Unpublished]) -> None:
    """Forget rows that the log has acknowledged."""
    await tx.delete_many(tables.outbox, ("id",), [(row.id,) for row in rows])


async def waiting(tx: Transaction) -> int:
    """How many rows wait."""
    return int((await tx.execute(select(func.count()).select_from(tables.outbox))).scalar_one())


def outcome_record(ending: Ending, finished_ms: int) -> Unpublished:
    """The record that tells how a delivery ended. A webhook's `campaign` is `webhook`, its step the subscription."""
    planned = ending.planned
    webhook = planned.channel is Channel.WEBHOOK
    data = CampaignOutcome(
        delivery_id=planned.id,
        customer_id=planned.customer_id,
        campaign="webhook" if webhook else planned.campaign,
        step=planned.subscription_id if webhook else planned.step,
        channel=planned.channel,
        outcome=ending.outcome,
        reason=ending.reason,
        stage_change_id=planned.change_id,
        attempts=ending.attempts,
        detail=ending.detail,
    )
    # A redelivered webhook ends again, and that is another event.
    event_id = f"{planned.id}.{finished_ms}"
    event = Produced(
        event_id, NOTIFIER_SOURCE, CAMPAIGN_OUTCOME_TYPE, planned.tenant, planned.customer_id, finished_ms, data
    )
    key = record_key(planned.tenant, planned.customer_id)
    value = encode_produced(event)
    return Unpublished(
        event_id, Topic.CAMPAIGN_OUTCOMES, key, value, CAMPAIGN_OUTCOME_TYPE, ending.traceparent, finished_ms
    )
