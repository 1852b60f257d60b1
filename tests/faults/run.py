"""One run from start to verdict: servers and processes up, load and chaos together, drain, gather, verify."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.notifier.definitions.load import load as load_campaigns
from services.notifier.domain.campaign import CampaignIndex
from services.notifier.rendering import Letters
from services.notifier.store.subscriptions import of_tenants
from shared.contracts.times import now_ms
from shared.db.port import Database
from tests.faults.chaos import Chaos, Journal, Trouble
from tests.faults.cluster import PARTITIONS, Cluster, Team, running_cluster
from tests.faults.draining import drained
from tests.faults.evidence import Evidence, gather
from tests.faults.load import Load
from tests.faults.receiver import Receiver, receiving
from tests.faults.replay import Replaying, activations_in_log, lives_in_history, lives_in_log
from tests.faults.story import TENANT, Size, tell
from tests.faults.topics import reading_topics
from tests.faults.verify import (
    Audience,
    Finding,
    ended_once,
    equal_to_replay,
    newest_published,
    none_double,
    nothing_lost,
    planned_once,
    published,
    rebuilt,
    sent,
)


@dataclass(frozen=True)
class Scenario:
    """How much of everything. `pace` is requests a second, `patience_seconds` how long the drain may take."""

    size: Size
    team: Team
    trouble: Trouble
    pace: float
    patience_seconds: float


@dataclass
class Result:
    """What was done and what was found."""

    load: Load
    journal: Journal
    ended_alone: int
    starts: int
    lost_claims: int
    drain_seconds: float
    evidence: Evidence
    audience: Audience
    findings: Sequence[Finding]
    seconds: float = 0.0

    @property
    def violations(self) -> list[str]:
        """All of them, in words; empty when everything holds."""
        return [f"{finding.what}: {each}" for finding in self.findings for each in finding.violations]


@dataclass
class _Stage:
    """What one run uses while it lasts."""

    cluster: Cluster
    database: Database
    receiver: Receiver
    chance: random.Random
    journal: Journal


async def run(scenario: Scenario, folder: Path, seed: int) -> Result:
    """Do it. Raises only when it could not be set up; what went wrong in it is in the result."""
    began = time.monotonic()
    async with receiving() as receiver, running_cluster(folder, scenario.team) as cluster:
        await cluster.subscribe(receiver)
        database = cluster.database()
        stage = _Stage(cluster, database, receiver, random.Random(seed), Journal(path=folder / "chaos.log"))
        try:
            result = await _run(scenario, stage)
        finally:
            await database.close()
    result.seconds = time.monotonic() - began
    return result


async def _run(scenario: Scenario, stage: _Stage) -> Result:
    cluster, database = stage.cluster, stage.database
    postings = tell(scenario.size, now_ms(), stage.chance)
    load = Load(cluster.address("ingest"), cluster.token, postings, scenario.pace)
    chaos = Chaos(cluster, load, database, stage.chance, stage.journal)
    async with asyncio.TaskGroup() as group:
        group.create_task(load.run())
        group.create_task(chaos.run(scenario.trouble))
    stage.journal.write("all is posted and done; draining")
    async with reading_topics(cluster.kafka.bootstrap, PARTITIONS) as topics:
        drain_began = time.monotonic()
        left = await drained(database, topics, scenario.patience_seconds)
        drain_seconds = time.monotonic() - drain_began
        stage.journal.write(f"drained in {drain_seconds:.1f} s, left: {left}")
        evidence = await gather(database, topics, cluster.letters)
    audience = await _audience(stage)
    findings = [_behaviour(load, stage.journal, left), *verified(evidence, audience, load.acknowledged)]
    return Result(
        load=load,
        journal=stage.journal,
        ended_alone=sum(process.ended_alone for process in cluster.processes),
        starts=sum(process.starts for process in cluster.processes),
        lost_claims=sum(process.log_path.read_text().count("partition lost") for process in cluster.of("engine")),
        drain_seconds=drain_seconds,
        evidence=evidence,
        audience=audience,
        findings=findings,
    )


def _behaviour(load: Load, journal: Journal, left: dict[str, int]) -> Finding:
    finding = Finding("answers in time, take-overs, everything worked off")
    finding.violations += [*load.problems[:20], *journal.problems]
    finding.violations += [f"{count:,} {what} in the end" for what, count in left.items()]
    finding.seen = f"slowest answer {load.slowest_seconds:.1f} s"
    return finding


def verified(evidence: Evidence, audience: Audience, acknowledged: set[tuple[str, str]]) -> Iterator[Finding]:
    """Every check of what is there against what was acknowledged (customer and event id) and against the replays, which
    come last since they take longest."""
    now = now_ms()
    published_there = activations_in_log(evidence.events, evidence.activations)
    yield nothing_lost(evidence, acknowledged)
    yield none_double(evidence)
    yield published(evidence)
    yield newest_published(evidence)
    yield planned_once(evidence, audience)
    yield ended_once(evidence, now)
    yield sent(evidence, audience)
    yield rebuilt(evidence, published_there)
    by_tables = Replaying(evidence.rulebook, evidence.activations, PARTITIONS, now)
    yield equal_to_replay(evidence, by_tables.all(lives_in_history(evidence.history)), "the history")
    refused = frozenset((each.partition, each.offset) for each in evidence.dead_letters)
    by_log = Replaying(evidence.rulebook, published_there, PARTITIONS, now)
    yield equal_to_replay(evidence, by_log.all(lives_in_log(evidence.events, refused)), "the topic")


async def _audience(stage: _Stage) -> Audience:
    async with stage.database.reading() as transaction:
        subscriptions = await of_tenants(transaction, {TENANT}, now_ms())
    campaigns = CampaignIndex(load_campaigns(None, Letters("pt-BR")))
    return Audience(campaigns, subscriptions, stage.receiver.received, stage.receiver.forged)
