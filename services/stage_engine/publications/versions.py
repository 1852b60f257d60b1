"""Which versions a partition goes by: those of its progress row, changed by control records and by lifecycles that are
listed anew. Every change is kept with its offset, so that history can be lived again under the rules of the day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import structlog

from services.stage_engine.publications.control import read_control
from services.stage_engine.rulebook import RuleBook
from services.stage_engine.store import activations, progress, publications
from services.stage_engine.store.activations import Stored
from services.stage_engine.store.progress import Claim, Progress, Versions
from shared.db.port import Transaction
from shared.errors import Permanent, Poison
from shared.log.port import Record

_log = structlog.get_logger(__name__)


async def renewed(transaction: Transaction, rulebook: RuleBook, claim: Claim, at: Progress) -> Progress:
    """The progress with the lifecycles that this process runs. One that is new to the partition, or comes back to it, begins
    to hold where the partition stands, as if it were published; one that is no longer listed stands still."""
    if rulebook.newest.keys() == at.versions.keys():
        await rulebook.learn(transaction, at.versions)
        return at
    # What is active may have changed since this process started, and this partition may not have run it then.
    wanted = rulebook.active(at.versions, await publications.active(transaction))
    await rulebook.learn(transaction, wanted)
    if not (at.versions or at.activation):
        return await _kept(transaction, claim, [_began(claim, wanted)], replace(at, versions=wanted))
    new = sorted(wanted.keys() - at.versions.keys())
    stored = [_began(claim, at.versions)]
    versions = {name: version for name, version in wanted.items() if name not in new}
    for name in new or [""]:
        versions = {**versions, name: wanted[name]} if name else versions
        number = at.activation + len(stored)
        place = (at.next_offset, at.arrival_ms)
        what = (f"joined-{claim.partition}-{number}", name, versions.get(name, 0))
        stored.append(Stored(claim.partition, number, *what, *place, False, {}, versions))
    return await _kept(transaction, claim, stored, replace(at, versions=wanted, activation=stored[-1].number))


async def activated(
    transaction: Transaction, rulebook: RuleBook, claim: Claim, at: Progress, record: Record
) -> Progress:
    """The progress after a control record. One that can't be used, or speaks of a lifecycle that does not run here, is
    passed over: nothing a customer did is in it."""
    try:
        control = read_control(record)
        versions = {**at.versions, control.lifecycle: control.version}
        await rulebook.learn(transaction, versions)
    except (Poison, Permanent) as error:
        _log.error("control record passed over", partition=claim.partition, offset=record.offset, why=str(error))
        return at
    if control.lifecycle not in at.versions:
        return at
    known = await activations.of_partition(transaction, claim.partition, 0)
    if control.publish_id in {each.publish_id for each in known}:
        return at
    number = at.activation + 1
    what = (control.publish_id, control.lifecycle, control.version)
    place = (record.offset, at.arrival_ms)
    stored = Stored(claim.partition, number, *what, *place, control.notify, control.migrate, versions)
    before = [] if known else [_began(claim, at.versions)]
    after = await _kept(transaction, claim, [*before, stored], replace(at, versions=versions, activation=number))
    _log.info("lifecycle published", lifecycle=control.lifecycle, version=control.version, partition=claim.partition)
    return after


async def _kept(transaction: Transaction, claim: Claim, stored: Sequence[Stored], after: Progress) -> Progress:
    """Write both together, whatever becomes of the batch: a row here that the progress does not know would never be met."""
    await transaction.write_all([activations.add(stored), progress.save(claim, after)])
    return after


def _began(claim: Claim, versions: Versions) -> Stored:
    """How the partition began, as far as anybody knows."""
    return Stored(claim.partition, 0, "start", "", 0, 0, 0, False, {}, versions)
