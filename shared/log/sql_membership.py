"""Who owns which partition in a group, kept in rows and agreed upon in short transactions.

A member that lives counts its `beats` up. Everybody watches everybody: whose count stands still for its session timeout,
by the watcher's own steady clock, is dead (so clocks of different machines need not agree) and is removed. Partitions
are dealt out in ranges over the members in order of joining. Whoever has too many hands them back first; only what is
free or was a dead member's is taken.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import delete, select, update

from shared.db.port import Database, Transaction
from shared.log.port import Membership, TopicPartition
from shared.log.sql_tables import groups, members, ownership, rows_of

_MEMBER_COLUMNS = ("group_name", "member", "joined", "beats", "session_timeout_ms", "topics")


@dataclass(frozen=True, slots=True)
class Member:
    """A row of `log_members`."""

    member: str
    joined: int
    beats: int
    session_timeout_ms: int
    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn found: all that is mine now, and of it what has to be handed back."""

    owned: frozenset[TopicPartition]
    surplus: frozenset[TopicPartition]
    changed: bool


@dataclass(slots=True)
class _Seen:
    beats: int
    at: float


class Registration:
    """One member's rows; made anew (`name` changes) when the others had declared it dead."""

    def __init__(self, database: Database, membership: Membership, partitions: dict[str, int]) -> None:
        self._database = database
        self._membership = membership
        self._partitions = partitions
        self._seen: dict[str, _Seen] = {}
        self._generation = -1
        self.name = uuid.uuid4().hex

    async def watch(self) -> bool:
        """Look, without writing, whether somebody joined, left, handed back or died, so that a turn is due."""
        async with self._database.reading() as transaction:
            generation = await self._read_generation(transaction)
            alive = await self._read_members(transaction)
        return generation != self._generation or bool(self._dead(alive))

    async def turn(self) -> Turn:
        """Beat, bury the dead, join if need be, and take what is free and due to this member."""
        async with self._database.transaction() as transaction:
            generation = await self._lock_group(transaction)
            known = await self._read_members(transaction)
            dead = self._dead(known)
            alive = [member for member in known if member.member not in dead]
            me = next((member for member in alive if member.member == self.name), None)
            if me is None:
                me = Member(self._new_name(), generation, 0, self._membership.session_timeout_ms, self._topics)
                alive.append(me)
            await self._remove(transaction, dead)
            await self._beat(transaction, me)
            owners = await self._read_owners(transaction)
            share = shares(alive, self._partitions)[self.name]
            taken = await self._take(transaction, share, owners, {member.member for member in alive})
            changed = bool(dead or taken or me.beats == 0)
            self._generation = await self._bump(transaction, generation) if changed else generation
        owned = frozenset(place for place, owner in owners.items() if owner == self.name) | taken
        return Turn(owned, owned - share, changed)

    async def hand_back(self, places: Iterable[TopicPartition]) -> None:
        """Make the partitions free for whom they are due to."""
        async with self._database.transaction() as transaction:
            generation = await self._lock_group(transaction)
            key = ("group_name", "topic", "partition", "member")
            rows = [(self._membership.group, *place, self.name) for place in sorted(places)]
            await transaction.delete_many(ownership, key, rows)
            self._generation = await self._bump(transaction, generation)

    async def leave(self) -> None:
        """Take this member's rows away, so that the others go on at once."""
        async with self._database.transaction() as transaction:
            generation = await self._lock_group(transaction)
            await self._remove(transaction, {self.name})
            mine = (ownership.c.group_name == self._membership.group) & (ownership.c.member == self.name)
            await transaction.execute(delete(ownership).where(mine))
            await self._bump(transaction, generation)

    @property
    def _topics(self) -> tuple[str, ...]:
        return tuple(topic.value for topic in self._membership.topics)

    def _new_name(self) -> str:
        self.name = uuid.uuid4().hex
        return self.name

    def _dead(self, known: Iterable[Member]) -> set[str]:
        now = time.monotonic()
        dead = set()
        for member in known:
            seen = self._seen.get(member.member)
            if seen is None or seen.beats != member.beats:
                self._seen[member.member] = _Seen(member.beats, now)
            elif member.member != self.name and now - seen.at > member.session_timeout_ms / 1000:
                dead.add(member.member)
        return dead

    async def _read_generation(self, transaction: Transaction) -> int:
        query = select(groups.c.generation).where(groups.c.group_name == self._membership.group)
        return int((await transaction.execute(query)).scalar_one_or_none() or 0)

    async def _lock_group(self, transaction: Transaction) -> int:
        group = self._membership.group
        query = select(groups.c.generation).where(groups.c.group_name == group).with_for_update()
        generation = (await transaction.execute(query)).scalar_one_or_none()
        if generation is None:
            await transaction.insert_new(groups, ("group_name", "generation"), [(group, 1)], ("generation",))
            generation = (await transaction.execute(query)).scalar_one()
        return int(generation)

    async def _bump(self, transaction: Transaction, generation: int) -> int:
        mine = groups.c.group_name == self._membership.group
        await transaction.execute(update(groups).where(mine).values(generation=generation + 1))
        return generation + 1

    async def _read_members(self, transaction: Transaction) -> list[Member]:
        columns = (members.c[name] for name in _MEMBER_COLUMNS[1:])
        rows = await rows_of(transaction, select(*columns).where(members.c.group_name == self._membership.group))
        return [_member(*row) for row in rows]

    async def _read_owners(self, transaction: Transaction) -> dict[TopicPartition, str]:
        query = select(ownership.c.topic, ownership.c.partition, ownership.c.member)
        rows = await rows_of(transaction, query.where(ownership.c.group_name == self._membership.group))
        return {TopicPartition(topic, partition): member for topic, partition, member in rows}

    async def _remove(self, transaction: Transaction, names: set[str]) -> None:
        for name in names:
            self._seen.pop(name, None)
        key = ("group_name", "member")
        await transaction.delete_many(members, key, [(self._membership.group, name) for name in sorted(names)])

    async def _beat(self, transaction: Transaction, me: Member) -> None:
        topics = ",".join(me.topics)
        row = (self._membership.group, me.member, me.joined, me.beats + 1, me.session_timeout_ms, topics)
        await transaction.upsert(members, _MEMBER_COLUMNS, [row])

    async def _take(
        self,
        transaction: Transaction,
        share: frozenset[TopicPartition],
        owners: dict[TopicPartition, str],
        alive: set[str],
    ) -> frozenset[TopicPartition]:
        free = frozenset(place for place in share if owners.get(place) not in alive)
        rows = [(self._membership.group, *place, self.name) for place in sorted(free)]
        await transaction.upsert(ownership, ("group_name", "topic", "partition", "member"), rows)
        return free


def _member(member: str, joined: int, beats: int, session_timeout_ms: int, topics: str) -> Member:
    return Member(member, joined, beats, session_timeout_ms, tuple(topics.split(",")))


def shares(alive: Iterable[Member], partitions: dict[str, int]) -> dict[str, frozenset[TopicPartition]]:
    """Which partitions each member should own: equal ranges, in order of joining, topic by topic.

    With equally many partitions, a member has the same numbers in every topic.
    """
    ordered = sorted(alive, key=lambda member: (member.joined, member.member))
    due: dict[str, set[TopicPartition]] = {member.member: set() for member in ordered}
    for topic, count in partitions.items():
        readers = [member.member for member in ordered if topic in member.topics]
        for partition in range(count if readers else 0):
            due[readers[partition * len(readers) // count]].add(TopicPartition(topic, partition))
    return {member: frozenset(places) for member, places in due.items()}
