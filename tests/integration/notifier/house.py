"""A whole notifier for tests: a real database, a real log, real receivers, and stage changes to feed it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import msgspec
from sqlalchemy import Table, func, select
from sqlalchemy.ext.asyncio import create_async_engine

import shared.auth.tables
import shared.log.sql_tables  # noqa: F401  (declares the tables)
from services.notifier.main import Notifier, build
from services.notifier.store import tables
from shared.auth.keys import KeyRequest, Keys
from shared.contracts.cloudevent import Produced, encode_produced, headers, record_key
from shared.contracts.customer_updated import CUSTOMER_UPDATED_TYPE, CustomerUpdated
from shared.contracts.stage_changed import (
    STAGE_CHANGED_TYPE,
    STAGE_ENGINE_SOURCE,
    CustomerSnapshot,
    EventCause,
    StageChanged,
    StageSnapshot,
)
from shared.contracts.times import now_ms, to_text
from shared.contracts.topics import Topic, topic_specs
from shared.db.connect import connect
from shared.db.metadata import metadata
from shared.db.port import Database
from shared.http.app import create_app
from shared.http.server import running
from shared.log.connect import open_log
from shared.log.port import Log, Membership, Message, Producer, Record, TopicPartition
from shared.service import Resources
from shared.settings import Settings
from tests.integration.notifier.receivers import Mailbox, Receiver, http_server, mail_server

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TENANT = "shop"


@dataclass
class Clock:
    """The wall clock, plus what a test has let pass."""

    ahead_ms: int = 0

    def __call__(self) -> int:
        return now_ms() + self.ahead_ms


@dataclass
class Customer:
    """A customer of a test: makes the engine's records about itself, with sequence and revision kept right."""

    id: str
    tenant: str = TENANT
    name: str | None = "Ana"
    email: str | None = "ana@example.com"
    locale: str | None = "pt-BR"
    consent: dict[str, bool] = field(default_factory=lambda: {"email": True})
    open_complaints: int = 0
    sequence: int = 0
    revision: int = 0
    stages: dict[str, StageSnapshot] = field(default_factory=dict)

    def snapshot(self) -> CustomerSnapshot:
        """What the engine says of this customer now."""
        return CustomerSnapshot(
            name=self.name,
            email=self.email,
            locale=self.locale,
            consent=dict(self.consent),
            open_complaints=self.open_complaints,
            stages=dict(self.stages),
        )

    def moves(self, to: str, lifecycle: str = "ecommerce", **given: Any) -> Message:
        """The record of a stage change."""
        at = given.pop("at_ms", None) or now_ms()
        before = self.stages.get(lifecycle)
        entry = given.pop("entry", 1 if before is None or before.stage != to else before.entry + 1)
        self.sequence += 1
        self.revision += 1
        self.stages[lifecycle] = StageSnapshot(to, entry, to_text(at))
        values: dict[str, Any] = {
            "lifecycle_version": 1,
            "from_": before.stage if before else None,
            "direction": "up",
            "settled": True,
            "late": False,
            "transition": "t",
            "cause": EventCause(f"e{self.sequence}", "purchase", to_text(at)),
            "facts": {"orders": 1},
            "previous_stage_entered_at": None,
            "mode": "live",
            **given,
        }
        data = StageChanged(
            customer_id=self.id,
            lifecycle=lifecycle,
            to=to,
            entry=entry,
            sequence=self.sequence,
            revision=self.revision,
            customer=self.snapshot(),
            **values,
        )
        return self._message(f"{self.id}-{self.sequence}", STAGE_CHANGED_TYPE, at, data)

    def updated(self, **changes: Any) -> Message:
        """The record of a newer revision with some fields changed."""
        for name, value in changes.items():
            setattr(self, name, value)
        self.revision += 1
        data = CustomerUpdated(self.id, self.revision, self.snapshot())
        return self._message(f"{self.id}-r{self.revision}", CUSTOMER_UPDATED_TYPE, now_ms(), data)

    def _message(self, record_id: str, kind: str, at: int, data: msgspec.Struct) -> Message:
        event = Produced(record_id, STAGE_ENGINE_SOURCE, kind, self.tenant, self.id, at, data)
        return Message(record_key(self.tenant, self.id), encode_produced(event), headers(kind, TRACEPARENT))


@dataclass
class House:
    """A notifier with everything around it."""

    resources: Resources
    notifier: Notifier
    producer: Producer
    mailbox: Mailbox
    receiver: Receiver
    http: httpx2.AsyncClient
    clock: Clock

    @property
    def database(self) -> Database:
        return self.resources.database

    async def say(self, *messages: Message) -> None:
        """Append stage changes, as the engine does."""
        await self.producer.append(Topic.STAGE_CHANGED, messages)

    async def update(self, *messages: Message) -> None:
        """Append customer updates, as the engine does."""
        await self.producer.append(Topic.CUSTOMER_UPDATED, messages)

    async def rows(self, table: Table) -> list[dict[str, Any]]:
        """All rows of a table."""
        async with self.database.reading() as tx:
            return [dict(row) for row in (await tx.execute(select(table))).mappings()]

    async def count(self, table: Table) -> int:
        """How many rows a table has."""
        async with self.database.reading() as tx:
            return int((await tx.execute(select(func.count()).select_from(table))).scalar_one())

    async def outcomes(self, expected: int) -> list[dict[str, Any]]:
        """All outcomes, once there are so many."""
        return await self.wait_rows(tables.outcomes, expected)

    async def wait_rows(self, table: Table, expected: int, timeout_seconds: float = 15.0) -> list[dict[str, Any]]:
        """The rows of a table, once there are at least so many."""
        async with asyncio.timeout(timeout_seconds):
            while len(rows := await self.rows(table)) < expected:
                await asyncio.sleep(0.02)
        return rows

    async def subscribe(self, path: str, **more: Any) -> dict[str, Any]:
        """Subscribe a path of the receiver, over HTTP."""
        response = await self.http.post("/v1/subscriptions", json={"url": self.receiver.url + path, **more})
        assert response.status_code == 201, response.text
        return dict(response.json())


async def create_tables(url: str) -> None:
    """Create all declared tables."""
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    await engine.dispose()


def settings_for(url: str, mailbox: Mailbox, **more: Any) -> Settings:
    """Settings of a test: live delivery to loopback receivers."""
    return Settings(
        **{
            "database_url": url,
            "partitions": 3,
            "delivery": "live",
            "smtp_url": mailbox.url,
            "webhook_allow_private": True,
            "http_port": 0,
            "mail_from": "Loja <oi@loja.example>",
            **more,
        }
    )


@asynccontextmanager
async def open_house(url: str, *, clock: Clock | None = None, **more: Any) -> AsyncIterator[House]:
    """A notifier that runs, behind HTTP, with receivers and a key that may do everything."""
    clock = clock or Clock()
    async with mail_server() as mailbox, http_server() as receiver:
        settings = settings_for(url, mailbox, **more)
        await create_tables(url)
        database = connect(settings.database_url)
        log = open_log(settings, database)
        resources = Resources(settings, database, log)
        await log.ensure_topics(topic_specs(settings.partitions))
        producer = await log.producer()
        notifier = build(resources, clock=clock)
        app = create_app([notifier], resources)
        key = await Keys(database, "BRL").create(KeyRequest(TENANT, ["admin"]))
        try:
            async with running(app, [notifier], settings) as base:
                auth = {"Authorization": f"Bearer {key.token}"}
                async with httpx2.AsyncClient(base_url=base, headers=auth) as http:
                    yield House(resources, notifier, producer, mailbox, receiver, http, clock)
        finally:
            await producer.close()
            await log.close()
            await database.close()


async def read_topic(log: Log, topic: Topic, expected: int) -> list[Record]:
    """The first records of a topic, once there are so many."""
    gained: set[TopicPartition] = set()

    async def on_assigned(where: frozenset[TopicPartition]) -> None:
        gained.update(where)

    async def on_revoked(_where: frozenset[TopicPartition]) -> None:
        return

    consumer = log.consumer(Membership(f"reader-of-{topic}", (topic,), on_assigned, on_revoked))
    await consumer.start()
    found: list[Record] = []
    try:
        async with asyncio.timeout(20):
            while len(found) < expected:
                while gained:
                    await consumer.seek(gained.pop(), 0)
                for records in (await consumer.fetch(1000, 100)).values():
                    found.extend(records)
    finally:
        await consumer.close()
    return found
