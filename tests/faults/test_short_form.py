"""The short form of `make faults`: real servers, processes killed under load, and everything still adds up."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from shared.log.port import Record
from tests.faults.mutations import MUTATIONS, Mutation, mutated
from tests.faults.replay import Activations
from tests.faults.run import Result, run, verified
from tests.faults.scenarios import SHORT

_ROOT = Path(__file__).resolve().parents[2]


async def test_kills_under_load_lose_nothing_and_do_nothing_twice(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    result = await run(SHORT, tmp_path / "run", seed)
    assert not result.violations, f"python -m tests.faults --short --seed {seed}\n" + "\n".join(result.violations)
    assert result.journal.deeds.total() == SHORT.trouble.kills + len(SHORT.trouble.others)
    _assert_that_each_loss_and_each_double_is_seen(result)


def _assert_that_each_loss_and_each_double_is_seen(result: Result) -> None:
    """A verification that can't fail proves nothing: spoil what was found in one way at a time."""
    found = result.evidence
    webhooks = {one: count for one, count in result.audience.received.items() if one != min(result.audience.received)}
    spoilt = {
        "an event is lost": replace(found, history=found.history[1:]),
        "an event is applied twice": replace(found, history=[*found.history, found.history[0]]),
        "a stage change is lost": replace(found, changes=found.changes[1:]),
        "a sequence is taken twice": replace(found, changes=[*found.changes, found.changes[0]]),
        "a stage change was never published": replace(found, stage_changed=_without_one(found.stage_changed)),
        "the compacted topic ends with an old version": replace(
            found, customer_updated=[*found.customer_updated, _overtaken(found.customer_updated)]
        ),
        "a delivery was not planned": replace(found, deliveries=found.deliveries[1:]),
        "a delivery was planned twice": replace(found, deliveries=[*found.deliveries, found.deliveries[0]]),
        "a delivery never ended": replace(found, outcomes=dict(list(found.outcomes.items())[1:])),
        "a publication held from elsewhere on": replace(found, activations=_moved(found.activations)),
        "an e-mail never arrived": replace(found, letters=found.letters - {min(found.letters)}),
    }
    acknowledged, audience = result.load.acknowledged, result.audience
    for loss, evidence in spoilt.items():
        assert any(finding.violations for finding in verified(evidence, audience, acknowledged)), f"not seen: {loss}"
    unheard = verified(found, replace(audience, received=webhooks), acknowledged)
    assert any(finding.violations for finding in unheard), "not seen: a webhook never arrived"


def _without_one(records: Sequence[Record]) -> list[Record]:
    """Without any copy of the first record."""
    return [record for record in records if record.value != records[0].value]


def _moved(activations: Activations) -> Activations:
    """With one partition's last publication a record too late."""
    partition = max(activations, key=lambda each: len(activations[each]))
    *before, last = activations[partition]
    return {**activations, partition: [*before, last._replace(offset=last.offset + 1)]}


def _overtaken(records: Sequence[Record]) -> Record:
    """A record that a later one with another value has replaced."""
    last = {record.key: record.value for record in records}
    return next(record for record in records if last[record.key] != record.value)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.guard)
def test_mutations_follow_the_code(mutation: Mutation) -> None:
    """`python -m tests.faults --mutate` takes minutes; that each of its guards is still where it says costs nothing."""
    source = (_ROOT / mutation.file).read_text()
    compile(mutated(source, mutation), mutation.file, "exec")
