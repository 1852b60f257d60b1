"""What goes wrong, when: kills, processes stopped in their tracks, servers restarted. All from one seeded chance."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from sqlalchemy import func, select

from services.stage_engine.store.tables import progress
from shared.db.port import Database
from shared.errors import Transient
from tests.faults.cluster import Cluster
from tests.faults.load import Load
from tests.faults.processes import ServiceProcess

_TAKEOVER_SECONDS = 30.0
_POLL_SECONDS = 0.05
_AGAIN_SECONDS = 0.5
KEEN = str(Path(__file__).with_name("pulse_keen.yaml"))
_FIRST_SHARE, _LAST_SHARE, _MARGIN_SHARE = 0.03, 0.9, 0.02


class Deed(StrEnum):
    """One thing that is done to the cluster."""

    KILL_ENGINE = "kill -9 of an engine"
    KILL_INGEST = "kill -9 of the ingest"
    KILL_NOTIFIER = "kill -9 of a notifier"
    SUSPEND_ENGINE = "SIGSTOP of an engine past its session, then SIGCONT"
    SUSPEND_NOTIFIER = "SIGSTOP of a notifier for a while, then SIGCONT"
    RESTART_POSTGRES = "PostgreSQL restarted"
    KILL_POSTGRES = "PostgreSQL killed and started"
    RESTART_KAFKA = "Kafka restarted"
    KILL_KAFKA = "Kafka killed and started"
    PUBLISH = "another version of a lifecycle published, or the one before again"


_KILLS = (Deed.KILL_ENGINE, Deed.KILL_INGEST, Deed.KILL_NOTIFIER)


@dataclass(frozen=True, slots=True)
class Trouble:
    """How much of it: random kills, and how often each other deed."""

    kills: int
    others: tuple[Deed, ...]


@dataclass
class Journal:
    """What was done, with how long it took others to take over."""

    deeds: Counter[Deed] = field(default_factory=Counter)
    takeovers: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    path: Path | None = None
    """Where the lines go as they are written; None for nowhere."""

    def write(self, line: str) -> None:
        """Note what happens, with its second."""
        if self.path is not None:
            with self.path.open("a") as log:
                log.write(f"{time.monotonic() - self.began:7.2f} s  {line}\n")


@dataclass
class Chaos:
    """Does the deeds while the load goes on; each waits for its share of the load, so all of them hit work."""

    cluster: Cluster
    load: Load
    database: Database
    chance: random.Random
    journal: Journal

    async def run(self, trouble: Trouble) -> None:
        """Do everything, then leave all processes and servers running."""
        planned = schedule(trouble, self.chance)
        following = [share for share, _ in planned[1:]] + [1.0]
        for (share, deed), after in zip(planned, following, strict=True):
            await self.load.hold_at(min(1.0, after + _MARGIN_SHARE))
            await self.load.until(share)
            self.journal.write(f"{deed} (load at {self.load.share:.0%})")
            self.journal.deeds[deed] += 1
            await self._do(deed)

    async def _do(self, deed: Deed) -> None:
        if deed is Deed.SUSPEND_ENGINE:
            return await self._suspend_engine()
        if deed is Deed.SUSPEND_NOTIFIER:
            return await self._suspend_notifier()
        if deed in _KILLS:
            return await self._kill(self.chance.choice(self.cluster.of(deed.rsplit(" ", 1)[1])))
        if deed is Deed.PUBLISH:
            return await self._publish()
        server: dict[Deed, tuple[Callable[[], object], ...]] = {
            Deed.RESTART_POSTGRES: (self.cluster.postgres.restart,),
            Deed.KILL_POSTGRES: (self.cluster.postgres.kill, self.cluster.postgres.start),
            Deed.RESTART_KAFKA: (self.cluster.kafka.restart,),
            Deed.KILL_KAFKA: (self.cluster.kafka.kill, self.cluster.kafka.start),
        }
        for step in server[deed]:
            await asyncio.to_thread(step)
        return None

    async def _kill(self, process: ServiceProcess) -> None:
        self.cluster.held.add(process.name)
        owner = process.owner
        await asyncio.to_thread(process.kill)
        killed_at = time.monotonic()
        self.journal.write(f"  {process.name} ({owner}) is dead")
        back_first = self.chance.random() < 0.5
        if process.service == "engine" and not back_first:
            await self._await_takeover(owner, killed_at)
        else:
            await asyncio.sleep(self.chance.uniform(0, 1.5))
        process.start()
        self.cluster.held.discard(process.name)
        if process.service == "engine" and back_first:
            await self._await_takeover(owner, killed_at)

    async def _suspend_engine(self) -> None:
        """An owner that believes it still is one: it wakes up with a batch in its hands that others have done since."""
        process = self.chance.choice(await self._owners())
        process.suspend()
        stopped_at = time.monotonic()
        self.journal.write(f"  {process.name} ({process.owner}) stands still")
        await self._await_takeover(process.owner, stopped_at)
        await asyncio.sleep(self.chance.uniform(0, 1))
        process.resume()
        self.journal.write(f"  {process.name} goes on")

    async def _publish(self) -> None:
        """As a person would, again and again until the command says that it is done."""
        forth = self.journal.deeds[Deed.PUBLISH] % 2 == 1
        what = ["publish", KEEN] if forth else ["rollback", "pulse", "--migrate", "keen=active"]
        while True:
            code, said = await self.cluster.command("lifecycle", *what, "-m", "to see whether it holds")
            self.journal.write(f"  {what[0]}: {said[-1] if said else code}")
            if code == 0 or self.load.share >= 1:
                return
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _owners(self) -> list[ServiceProcess]:
        """Engines that have claimed something; waits until one has."""
        async with asyncio.timeout(_TAKEOVER_SECONDS):
            while True:
                engines = [each for each in self.cluster.of("engine") if each.running]
                owners = [each for each in engines if await partitions_of(self.database, each.owner)]
                if owners:
                    return owners
                await asyncio.sleep(_POLL_SECONDS)

    async def _suspend_notifier(self) -> None:
        """Past its session and past the leases of what it was sending."""
        process = self.chance.choice([each for each in self.cluster.of("notifier") if each.running])
        process.suspend()
        self.journal.write(f"  {process.name} stands still")
        await asyncio.sleep(self.cluster.team.session_timeout_ms / 1000 + 4)
        process.resume()
        self.journal.write(f"  {process.name} goes on")

    async def _await_takeover(self, owner: str, since: float) -> None:
        """Returns once no partition is signed by `owner` any more."""
        if not await partitions_of(self.database, owner):
            return
        while await partitions_of(self.database, owner):
            if time.monotonic() - since > _TAKEOVER_SECONDS:
                self.journal.problems.append(
                    f"the partitions of {owner} were not taken over in {_TAKEOVER_SECONDS:g} s"
                )
                return
            await asyncio.sleep(_POLL_SECONDS)
        self.journal.takeovers.append(time.monotonic() - since)
        self.journal.write(f"  taken over after {self.journal.takeovers[-1]:.2f} s")


def schedule(trouble: Trouble, chance: random.Random) -> list[tuple[float, Deed]]:
    """Every deed with the share of the load at which it is done. Each service is killed at least once."""
    kills = list(_KILLS[: trouble.kills])
    kills += chance.choices(_KILLS, (2, 1, 1), k=trouble.kills - len(kills))
    deeds = [*kills, *trouble.others]
    chance.shuffle(deeds)
    shares = sorted(chance.uniform(_FIRST_SHARE, _LAST_SHARE) for _ in deeds)
    return list(zip(shares, deeds, strict=True))


async def partitions_of(database: Database, owner: str) -> int:
    """How many partitions an engine has signed and nobody else has claimed since; waits while the database is away."""
    while True:
        try:
            async with database.reading() as transaction:
                statement = select(func.count()).select_from(progress).where(progress.c.owner == owner)
                return int((await transaction.execute(statement)).scalar_one())
        except Transient:
            await asyncio.sleep(_POLL_SECONDS)
