"""What must hold when it is quiet again. Each check gives what it has seen and every violation that it found."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from services.notifier.domain.campaign import CampaignIndex
from services.notifier.domain.change import Change, Contact, change_of
from services.notifier.domain.delivery import Channel, Suppressed
from services.notifier.domain.plan import plan_campaign, plan_webhooks
from services.notifier.domain.subscription import Subscription
from services.stage_engine.domain.publishing import change_id, snapshot
from services.stage_engine.store.activations import Stored
from shared.contracts.cloudevent import decode, record_key
from shared.contracts.customer_updated import read_customer_updated
from shared.contracts.outcomes import Outcome
from shared.contracts.stage_changed import read_stage_changed
from tests.faults.evidence import Evidence
from tests.faults.replay import Activations, Replayed

_SHOWN = 8
_T = TypeVar("_T")


@dataclass
class Finding:
    """One thing that was checked: `seen` for people, `violations` in detail."""

    what: str
    seen: str = ""
    violations: list[str] = field(default_factory=list)

    def expect(self, *, good: bool, otherwise: str) -> None:
        """Note a violation."""
        if not good:
            self.violations.append(otherwise)

    def same(self, name: str, expected: Iterable[object], found: Iterable[object]) -> None:
        """Two sets must be equal."""
        wanted, got = set(expected), set(found)
        self.missing(name, wanted, got)
        self.violations += [f"{name}: {each} is one too many" for each in _some(got - wanted)]

    def missing(self, name: str, expected: Iterable[object], found: Iterable[object]) -> None:
        """The second must hold the first."""
        self.violations += [f"{name}: {each} is missing" for each in _some(set(expected) - set(found))]


def nothing_lost(evidence: Evidence, acknowledged: set[tuple[str, str]]) -> Finding:
    """(a) Whatever got 202 is in history, or set aside with a reason, and nothing else is."""
    finding = Finding("every event that got 202 was applied once")
    applied = {(each.customer.customer_id, each.event_id) for each in evidence.history}
    aside = {(decode(each.value).subject, decode(each.value).id): each.reason for each in evidence.dead_letters}
    finding.same("acknowledged events", acknowledged, applied | aside.keys())
    finding.expect(
        good=len(applied) == len(evidence.history), otherwise="history has an id of a customer more than once"
    )
    finding.violations += [f"event {each} is both applied and set aside" for each in _some(applied & aside.keys())]
    reasons = Counter(aside.values())
    unexpected = reasons.keys() - {"behind_clock"}
    finding.expect(good=not unexpected, otherwise=f"dead letters that no event of this load deserves: {unexpected}")
    again = len(evidence.events) - len(applied) - len(aside)
    finding.seen = f"{len(applied):,} applied, {dict(reasons) or 'none'} set aside, {again:,} duplicates in the log"
    return finding


def equal_to_replay(evidence: Evidence, replayed: Replayed, source: str) -> Finding:
    """(b) Living came to exactly the stage changes, with every word of their why, that a replay comes to."""
    finding = Finding(f"stage changes equal a replay of {source} in one process")
    finding.violations += _some(replayed.problems)
    lived = {(each.customer, each.sequence): each.data for each in evidence.changes}
    finding.same("stage changes", replayed.changes.keys(), lived.keys())
    different = [key for key in lived.keys() & replayed.changes.keys() if lived[key] != replayed.changes[key]]
    finding.violations += [_difference(key, lived[key], replayed.changes[key]) for key in _first(different)]
    states = [key for key in evidence.states if evidence.states[key] != replayed.states.get(key)]
    finding.violations += [f"the state of {key.customer_id} differs" for key in _first(states)]
    timers = sum(b'"kind":"timer"' in data for data in lived.values())
    finding.seen = f"{len(lived):,} stage changes of {len(evidence.states):,} customers, {timers:,} by timers"
    return finding


def rebuilt(evidence: Evidence, published_there: Activations) -> Finding:
    """(g) What `jornada rebuild` says, and that partitions went by what the control records on the topic say."""
    finding = Finding("rebuild finds no difference; every publication holds from its own record on")
    for each in _first(evidence.differences):
        finding.violations.append(f"{each.customer.customer_id} lived again differs in {each.fields}")
    for partition, steps in evidence.activations.items():
        finding.same(f"activations of partition {partition}", map(_told, published_there[partition]), map(_told, steps))
    publications = max((len(steps) for steps in evidence.activations.values()), default=1) - 1
    anew = sum(state.recomputed is not None for state in evidence.states.values())
    finding.seen = f"{len(evidence.states):,} customers, {anew:,} decided anew; {publications} publications"
    return finding


def _told(each: Stored) -> tuple[object, ...]:
    return each.number, each.publish_id, each.offset, each.at_ms, tuple(sorted(each.versions.items()))


def _difference(key: object, lived: bytes, replayed: bytes) -> str:
    first, second = msgspec.json.decode(lived), msgspec.json.decode(replayed)
    parts = {name: (first.get(name), second.get(name)) for name in first if first.get(name) != second.get(name)}
    return f"{key}: lived and replayed differ in {parts}"


def none_double(evidence: Evidence) -> Finding:
    """(c) Sequences count from 1 without gaps, ids are the ones that sequences give."""
    finding = Finding("sequences without gaps, no stage change twice")
    sequences: dict[tuple[str, str], list[int]] = defaultdict(list)
    for each in evidence.changes:
        sequences[each.customer].append(each.sequence)
        expected = change_id(*each.customer, each.sequence)
        finding.expect(good=each.change_id == expected, otherwise=f"{each.customer} {each.sequence}: a wrong id")
    for customer, found in sequences.items():
        expected_sequence = list(range(1, len(found) + 1))
        finding.expect(
            good=sorted(found) == expected_sequence, otherwise=f"{customer} has the sequences {sorted(found)}"
        )
    longest = max((len(found) for found in sequences.values()), default=0)
    finding.seen = f"{len(evidence.changes):,} ids, up to {longest} for one customer"
    return finding


def published(evidence: Evidence) -> Finding:
    """(d) The topic has every stage change at least once, always in the same words, and in order once repetitions are
    dropped."""
    finding = Finding("the stage-changed topic holds each change, and nothing else")
    said: dict[str, bytes] = {}
    last: dict[bytes, int] = defaultdict(int)
    for record in evidence.stage_changed:
        event = decode(record.value or b"")
        sequence = read_stage_changed(event).sequence
        key = record.key or b""
        if event.id in said:
            finding.expect(good=said[event.id] == record.value, otherwise=f"{event.id} was published in other words")
            continue
        said[event.id] = record.value or b""
        finding.expect(
            good=sequence == last[key] + 1, otherwise=f"{key.decode()}: sequence {sequence} follows {last[key]}"
        )
        last[key] = sequence
    finding.same("published stage changes", (each.change_id for each in evidence.changes), said)
    finding.seen = f"{len(said):,} changes in {len(evidence.stage_changed):,} records"
    return finding


def newest_published(evidence: Evidence) -> Finding:
    """(d) The last record of each key on the compacted topic is the customer's newest version."""
    finding = Finding("the compacted topic ends with each customer's newest version")
    last: dict[bytes, bytes] = {record.key or b"": record.value or b"" for record in evidence.customer_updated}
    for customer, state in evidence.states.items():
        value = last.get(record_key(*customer))
        if value is None:
            finding.violations.append(f"{customer.customer_id} was never published")
            continue
        updated = read_customer_updated(decode(value))
        newest = updated.customer == snapshot(state) and updated.revision <= state.revision
        finding.expect(
            good=newest,
            otherwise=f"{customer.customer_id}: the topic ends with revision {updated.revision}, not {state.revision}",
        )
    finding.same("keys", (record_key(*customer) for customer in evidence.states), last)
    finding.seen = f"{len(last):,} customers in {len(evidence.customer_updated):,} records"
    return finding


@dataclass(frozen=True)
class Audience:
    """Who was to be told: the campaigns and endpoints of the run, and what the receiver got (ids with counts)."""

    campaigns: CampaignIndex
    subscriptions: Sequence[Subscription]
    received: Mapping[str, int]
    forged: Sequence[str]


def planned_once(evidence: Evidence, audience: Audience) -> Finding:
    """(e) Every stage change that a campaign or an endpoint asks for was planned, once; nothing else was."""
    finding = Finding("each delivery that a change asks for was planned once")
    expected = [identity for change in _changes(evidence) for identity in _deliveries(change, audience)]
    keys = Counter(
        (each.change_id, each.campaign, each.step, each.subscription_id, each.customer_id)
        for each in evidence.deliveries
    )
    finding.violations += [f"planned {count} times: {key}" for key, count in keys.items() if count > 1][:_SHOWN]
    finding.same("deliveries", expected, (each.id for each in evidence.deliveries))
    finding.seen = f"{len(evidence.deliveries):,} deliveries"
    return finding


def ended_once(evidence: Evidence, now_ms: int) -> Finding:
    """(e) A delivery has ended, or waits for a time that has not come; never both, never neither."""
    finding = Finding("each delivery ended in one outcome, or is not due yet")
    for each in evidence.deliveries:
        ended, waits = each.id in evidence.outcomes, each.id in evidence.waiting
        finding.expect(good=ended != waits, otherwise=f"{each.id} has ended: {ended}, waits: {waits}")
    overdue = [one for one, due_ms in evidence.waiting.items() if due_ms <= now_ms]
    finding.violations += [f"{one} is overdue" for one in _some(overdue)]
    counts = Counter(evidence.outcomes.values())
    finding.expect(good=not counts[Outcome.FAILED], otherwise=f"{counts[Outcome.FAILED]} deliveries failed")
    finding.seen = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(counts.items()))
    finding.seen += f"; {len(evidence.waiting):,} not due"
    return finding


def sent(evidence: Evidence, audience: Audience) -> Finding:
    """(e) What counts as sent has arrived: each e-mail a file, each webhook at least once with a good signature."""
    finding = Finding("what counts as sent has arrived")
    planned = {each.id: each for each in evidence.deliveries}
    done = [planned[one] for one, outcome in evidence.outcomes.items() if outcome == Outcome.SENT and one in planned]
    letters = {each.id for each in done if each.channel is Channel.EMAIL}
    posts = {each.id for each in done if each.channel is Channel.WEBHOOK}
    finding.missing("e-mails", letters, evidence.letters)
    finding.missing("e-mails planned", evidence.letters, planned)
    finding.missing("webhooks", posts, audience.received)
    finding.missing("webhooks planned", audience.received, planned)
    finding.violations += [f"bad signature: {each}" for each in audience.forged[:_SHOWN]]
    unrecorded = len(evidence.letters - letters)
    twice = sum(count - 1 for count in audience.received.values())
    finding.seen = (
        f"{len(letters):,} e-mails ({unrecorded} more were sent when a process died, and ended otherwise), "
        f"{len(posts):,} webhooks, {twice:,} of them once more"
    )
    return finding


def _changes(evidence: Evidence) -> Iterator[Change]:
    told = {}
    for record in evidence.stage_changed:
        event = decode(record.value or b"")
        told[event.id] = change_of(event.tenant, event.id, event.time_ms, read_stage_changed(event))
    return iter(told.values())


def _deliveries(change: Change, audience: Audience) -> Iterator[str]:
    for campaign in audience.campaigns.triggered_by(change):
        # Whether it is sent or suppressed, it has a row; so neither contact nor earlier runs matter here.
        for result in plan_campaign(campaign, change, Contact(), None, 0):
            yield (result.planned if isinstance(result, Suppressed) else result).id
    for planned in plan_webhooks(change, audience.subscriptions, 0):
        yield planned.id


def _some(found: Iterable[object]) -> list[str]:
    return [str(each) for each in _first(found)]


def _first(found: Iterable[_T]) -> list[_T]:
    return list(found)[:_SHOWN]
