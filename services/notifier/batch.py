"""One batch of records, whatever its partitions: read, decide, one transaction.

The transaction starts by locking the progress rows and drops the partitions that somebody else has claimed since, so a
process that was thought dead writes nothing. Everything planned commits with the offsets it was planned from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from services.notifier.domain.campaign import Campaign, CampaignIndex, PolicyKind
from services.notifier.domain.change import Change, Contact, change_of
from services.notifier.domain.delivery import Planned, Story, Suppressed
from services.notifier.domain.plan import left_behind, plan_campaign, plan_webhooks
from services.notifier.domain.subscription import Subscription
from services.notifier.store import contacts, dead_records, deliveries, progress, queue, subscriptions, work
from services.notifier.store.contacts import customer_key
from services.notifier.store.progress import Claim, Claimant
from shared.contracts.cloudevent import TRACEPARENT, CloudEvent, decode, record_key
from shared.contracts.customer_updated import CustomerUpdated, read_customer_updated
from shared.contracts.outcomes import Suppression
from shared.contracts.stage_changed import CustomerSnapshot, StageChanged, read_stage_changed
from shared.contracts.topics import Topic
from shared.db.port import Database, Transaction, Write
from shared.errors import Poison
from shared.log.port import Record, TopicPartition
from shared.telemetry import metrics

MAX_RECORD_BYTES = 1024 * 1024
"""Largest record that is read: an event's 256 KiB with room for the snapshot around it."""

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Moved:
    """A stage change as read: what campaigns look at, what it says of the customer, and its own words."""

    change: Change
    snapshot: CustomerSnapshot
    story: Story


@dataclass(frozen=True, slots=True)
class Updated:
    """A newer version of a customer, as read."""

    key: str
    revision: int
    snapshot: CustomerSnapshot


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that can't be read, now or ever."""

    record: Record
    detail: str


Read = Moved | Updated | Unreadable


@dataclass(slots=True)
class Decided:
    """What a batch comes to, before it is written."""

    contacts: dict[str, Contact]
    planned: dict[str, Planned] = field(default_factory=dict)
    suppressed: list[Suppressed] = field(default_factory=list)
    stories: dict[tuple[str, str], Story] = field(default_factory=dict)
    runs: dict[tuple[str, str], int] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    waiting: dict[str, list[Planned]] = field(default_factory=dict)

    def keep(self, result: Planned | Suppressed) -> None:
        """Take in one result of planning."""
        if isinstance(result, Suppressed):
            self.suppressed.append(result)
            return
        self.planned[result.id] = result
        if result.while_in_stage:
            watched = queue.watch_key(result.tenant, result.customer_id, result.lifecycle)
            self.waiting.setdefault(watched, []).append(result)

    def leave(self, change: Change) -> None:
        """Withdraw what this very batch had planned for a stage that the customer has left again."""
        watched = queue.watch_key(change.tenant, change.customer_id, change.lifecycle)
        for ended in left_behind(change, self.waiting.get(watched, ())):
            if self.planned.pop(ended.id, None):
                self.suppressed.append(Suppressed(ended, Suppression.LEFT_STAGE))


@dataclass(frozen=True, slots=True)
class Known:
    """What a batch is decided from, as it stands in the transaction."""

    campaigns: CampaignIndex
    subscriptions: Mapping[str, Sequence[Subscription]]
    now_ms: int


def read(record: Record) -> Read:
    """A record of either topic as the domain sees it; one that can't be read says so and stops nothing."""
    try:
        return _read(record)
    except (ValueError, Poison) as error:
        return Unreadable(record, str(error)[:1000])


def _read(record: Record) -> Read:
    if record.value is None:
        raise Poison("the record has no value")
    if len(record.value) > MAX_RECORD_BYTES:
        raise Poison(f"the record has {len(record.value)} bytes; {MAX_RECORD_BYTES} are read")
    event = decode(record.value)
    body = read_stage_changed(event) if record.topic == Topic.STAGE_CHANGED else read_customer_updated(event)
    if record.key != record_key(event.tenant, body.customer_id):
        raise Poison("the record's key is not its tenant and customer")
    return _updated(event, body) if isinstance(body, CustomerUpdated) else _moved(event, body, record)


def _updated(event: CloudEvent, body: CustomerUpdated) -> Updated:
    return Updated(customer_key(event.tenant, body.customer_id), body.revision, body.customer)


def _moved(event: CloudEvent, body: StageChanged, record: Record) -> Moved:
    without = {name: value for name, value in event.data.items() if name != "customer"}
    traceparent = next(
        (value.decode("ascii", "replace") for name, value in record.headers if name == TRACEPARENT), None
    )
    story = Story(event.id, event.time_ms, _encode(without), _encode(event.data.get("customer")), traceparent)
    return Moved(change_of(event.tenant, event.id, event.time_ms, body), body.customer, story)


def decide(reads: Iterable[Read], decided: Decided, runs: Mapping[tuple[str, str], int], known: Known) -> None:
    """Take the records in order: contacts by revision, stage changes by sequence, plans from what is new."""
    decided.runs.update(runs)
    for one in reads:
        if isinstance(one, Updated):
            decided.contacts[one.key] = decided.contacts[one.key].updated(one.revision, one.snapshot)
        elif isinstance(one, Moved):
            _move(one, decided, known)


def _move(moved: Moved, decided: Decided, known: Known) -> None:
    change = moved.change
    key = customer_key(change.tenant, change.customer_id)
    before = decided.contacts[key]
    if change.sequence <= before.sequence:
        return
    after = before.updated(change.revision, moved.snapshot).moved(change)
    decided.contacts[key] = after
    decided.changes.append(change)
    decided.leave(change)
    results: list[Planned | Suppressed] = []
    for campaign in known.campaigns.triggered_by(change):
        results += _start(campaign, change, after, decided, known.now_ms)
    results += plan_webhooks(change, known.subscriptions.get(change.tenant, ()), known.now_ms)
    for result in results:
        decided.keep(result)
    if results:
        decided.stories[change.tenant, change.id] = moved.story


def _start(
    campaign: Campaign, change: Change, contact: Contact, decided: Decided, now_ms: int
) -> Sequence[Planned | Suppressed]:
    pair = (customer_key(change.tenant, change.customer_id), campaign.key)
    results = plan_campaign(campaign, change, contact, decided.runs.get(pair), now_ms)
    if campaign.policy.kind is not PolicyKind.EVERY_ENTRY and any(isinstance(one, Planned) for one in results):
        decided.runs[pair] = now_ms
    return results


@dataclass(frozen=True, slots=True)
class Batcher:
    """Handles batches for one process. `planned` is called after a commit that queued something, with
    when each endpoint has its first work of it, in milliseconds."""

    database: Database
    campaigns: CampaignIndex
    claimant: Claimant
    clock: Callable[[], int]
    planned: Callable[[Mapping[str, int]], None]

    async def handle(
        self, claims: Mapping[TopicPartition, Claim], records: Mapping[TopicPartition, Sequence[Record]]
    ) -> frozenset[TopicPartition]:
        """Handle the records in one transaction. Gives the partitions that are no longer ours: nothing of theirs was
        written. Raises Transient (the same call may succeed) and Permanent (something in the batch can't be written)."""
        async with self.database.transaction() as tx:
            offsets = await progress.lock_owned(tx, {where: claims[where] for where in records})
            fresh = [
                record
                for where, offset in sorted(offsets.items())
                for record in records[where]
                if record.offset >= offset
            ]
            writes = await self._decide(tx, [read(record) for record in fresh])
            following = {where: max(offset, records[where][-1].offset + 1) for where, offset in offsets.items()}
            await tx.write_all([*writes, progress.advance(following)])
        return frozenset(records) - frozenset(offsets)

    async def set_aside(self, claims: Mapping[TopicPartition, Claim], record: Record, detail: str) -> None:
        """Keep a record that can't be written about, and go on behind it."""
        where = TopicPartition(record.topic, record.partition)
        async with self.database.transaction() as tx:
            if await progress.lock_owned(tx, {where: claims[where]}):
                await dead_records.keep(tx, [(record, detail[:1000])])
                await tx.write_all([progress.advance({where: record.offset + 1})])

    async def _decide(self, tx: Transaction, reads: Sequence[Read]) -> list[Write]:
        """Read what is needed, decide, and give what is to be written."""
        await dead_records.keep(tx, [(one.record, one.detail) for one in reads if isinstance(one, Unreadable)])
        keys = {_key(one) for one in reads if not isinstance(one, Unreadable)}
        if not keys:
            return []
        now_ms = self.clock()
        before, runs = await contacts.lock_with_runs(tx, keys)
        decided = Decided(dict(before))
        decide(reads, decided, runs, await self._known(tx, reads, now_ms))
        return [
            contacts.store({key: contact for key, contact in decided.contacts.items() if contact is not before[key]}),
            contacts.store_runs({pair: last for pair, last in decided.runs.items() if runs.get(pair) != last}),
            *await self._cancel(tx, decided, now_ms),
            *await self._plan(tx, decided, now_ms),
        ]

    async def _known(self, tx: Transaction, reads: Sequence[Read], now_ms: int) -> Known:
        tenants = {one.change.tenant for one in reads if isinstance(one, Moved)}
        by_tenant: dict[str, list[Subscription]] = {}
        for one in await subscriptions.of_tenants(tx, tenants, now_ms) if tenants else ():
            by_tenant.setdefault(one.tenant, []).append(one)
        return Known(self.campaigns, by_tenant, now_ms)

    async def _cancel(self, tx: Transaction, decided: Decided, now_ms: int) -> list[Write]:
        """Close the steps that waited for a stage which this batch has seen left."""
        last = {
            queue.watch_key(one.tenant, one.customer_id, one.lifecycle): one
            for one in decided.changes
            if one.from_stage is not None
        }
        ended = [
            Suppressed(plan, Suppression.LEFT_STAGE)
            for row, plan in await work.lock_watched(tx, last)
            if left_behind(last[row.watched], [plan])
        ]
        _count(tx, ended)
        return deliveries.finish([one.ending() for one in ended], now_ms)

    async def _plan(self, tx: Transaction, decided: Decided, now_ms: int) -> list[Write]:
        """Plan what is new: queue what is to be sent, close what is not."""
        planned = list(decided.planned.values())
        everything = [*planned, *(one.planned for one in decided.suppressed)]
        new = await deliveries.insert_new(tx, everything)
        queued = [one for one in planned if one.id in new]
        endings = [
            one.ending(decided.stories[one.planned.tenant, one.planned.change_id].traceparent)
            for one in decided.suppressed
            if one.planned.id in new
        ]
        _count(tx, decided.suppressed)
        duplicates = len(everything) - len(new)
        tx.after_commit(lambda: metrics.SUPPRESSIONS.labels(Suppression.DUPLICATE).inc(duplicates))
        if queued:
            tx.after_commit(lambda: self.planned(_first_due(queued)))
        return [deliveries.tell(decided.stories), queue.add(queued), *deliveries.close(endings, now_ms)]


def _first_due(planned: Iterable[Planned]) -> dict[str, int]:
    """When each endpoint has its first work of these, milliseconds."""
    first: dict[str, int] = {}
    for one in planned:
        first[one.endpoint] = min(one.due_ms, first.get(one.endpoint, one.due_ms))
    return first


def _key(one: Moved | Updated) -> str:
    return one.key if isinstance(one, Updated) else customer_key(one.change.tenant, one.change.customer_id)


def _count(tx: Transaction, suppressed: Sequence[Suppressed]) -> None:
    def count() -> None:
        for one in suppressed:
            metrics.SUPPRESSIONS.labels(one.reason).inc()

    if suppressed:
        tx.after_commit(count)
