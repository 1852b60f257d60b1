"""Puts the notifier together: `build(resources)` gives the service that a process runs."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fastapi import APIRouter

from services.notifier.api import deliveries as deliveries_api
from services.notifier.api import subscriptions as subscriptions_api
from services.notifier.api import switches as switches_api
from services.notifier.api import unsubscribe as unsubscribe_api
from services.notifier.api.reading import Desk
from services.notifier.batch import Batcher
from services.notifier.cancelling import Cancelling
from services.notifier.channels.email import SMTP_SECONDS, EmailChannel, Folder, MailServer, Transport
from services.notifier.channels.letters import CannotWrite, Sender, Writer, sample_values
from services.notifier.channels.webhook import WebhookChannel, envelope_of
from services.notifier.claiming import Claimer, Rules
from services.notifier.definitions.load import load
from services.notifier.dispatch import Dispatcher, Room
from services.notifier.domain.campaign import Campaign, CampaignIndex
from services.notifier.domain.delivery import Attempted, Email, PendingDispatch
from services.notifier.domain.verdict import Allowed
from services.notifier.dry_run import dry_run
from services.notifier.lag import observe_lag
from services.notifier.liquid import TemplateError
from services.notifier.planning import Planning
from services.notifier.recording import Recorder
from services.notifier.relay import Relay
from services.notifier.rendering import SHIPPED, Letters
from services.notifier.store.progress import Claimant
from services.notifier.trimming import Retention, Trimmer
from services.notifier.unsubscribing import LazyTokens
from shared.contracts.times import HOUR_MS, SECOND_MS, now_ms
from shared.errors import Permanent
from shared.service import Check, Resources, check_servers
from shared.settings import Settings

STUCK_SECONDS = 60.0
_STOP_MARGIN_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Channels:
    """All channels behind one call."""

    email: EmailChannel
    webhook: WebhookChannel

    async def __call__(self, pending: PendingDispatch) -> Attempted:
        """One attempt, by the channel that the message is for."""
        if isinstance(pending.message, Email):
            return await self.email.attempt(pending, pending.message)
        envelope = envelope_of(pending.planned.id, pending.message)
        return await self.webhook.attempt(pending.message.subscription, envelope)

    async def close(self) -> None:
        """Let go of connections."""
        await self.email.transport.close()
        await self.webhook.close()


@dataclass(slots=True)
class Notifier:
    """The service: three loops that share nothing but the database and wake each other. Trimming goes on beside them."""

    resources: Resources
    planning: Planning
    dispatcher: Dispatcher
    relay: Relay
    trimmer: Trimmer
    channels: Channels
    desk: Desk
    name: str = "notifier"
    _failed: bool = field(default=False, init=False)

    def routers(self) -> Sequence[APIRouter]:
        """Its HTTP routes."""
        apis = (subscriptions_api, deliveries_api, unsubscribe_api, switches_api)
        return [api.router(self.desk) for api in apis]

    async def run(self, stopping: asyncio.Event) -> None:
        """Plan, dispatch and relay until `stopping`; what is under way then may still end."""
        ended = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.planning.run(stopping))
            dispatching = group.create_task(self._dispatch(stopping))
            observing = group.create_task(observe_lag(self.planning, self.resources.database))
            group.create_task(self.trimmer.run(stopping))
            group.create_task(self.relay.run(ended))
            # The relay goes last: it tells what the dispatcher has recorded at the end.
            dispatching.add_done_callback(lambda _task: ended.set())
            ended_too = group.create_task(ended.wait())
            ended_too.add_done_callback(lambda _task: observing.cancel())
        await self.channels.close()

    async def _dispatch(self, stopping: asyncio.Event) -> None:
        """Dispatch; after a stop, what does not end in time is left to its lease."""
        running = asyncio.create_task(self.dispatcher.run(stopping))
        watching = asyncio.create_task(stopping.wait())
        await asyncio.wait({running, watching}, return_when=asyncio.FIRST_COMPLETED)
        watching.cancel()
        limit = max(0.1, self.resources.settings.stop_timeout_seconds - 2 * _STOP_MARGIN_SECONDS)
        _, late = await asyncio.wait({running}, timeout=limit)
        for task in late:
            task.cancel()
        await asyncio.gather(running, return_exceptions=bool(late))

    async def checks(self) -> Sequence[Check]:
        """Whether database and log answer, and whether partitions wait for a person."""
        halted = "; ".join(self.planning.halted.values())
        return [*await check_servers(self.resources), Check("partitions", not halted, halted)]

    def alive(self) -> bool:
        """Whether, within the last minute, the poll loop has turned and had its place among the other notifiers."""
        consumer = self.planning.consumer
        outside = consumer is not None and consumer.stuck_seconds() > STUCK_SECONDS
        return not outside and time.monotonic() - self.planning.beat_at < STUCK_SECONDS


def build(
    resources: Resources,
    *,
    campaigns: Mapping[str, Campaign] | None = None,
    clock: Callable[[], int] = now_ms,
    jitter: Callable[[], float] = random.random,
) -> Notifier:
    """The notifier of one process. Raises Permanent for a wrong campaign, template or setting, with its place."""
    settings, database = resources.settings, resources.database
    letters = read_letters(settings)
    known = load(settings.campaigns_dir, letters) if campaigns is None else campaigns
    tokens = LazyTokens(database)
    holder = f"{socket.gethostname()}/{os.getpid()}/{random.getrandbits(32):08x}"
    channels = Channels(
        EmailChannel(Writer(letters, _sender(settings), settings.public_url), _transport(settings), tokens, clock),
        WebhookChannel(
            allow_private=settings.webhook_allow_private,
            timeout_seconds=settings.webhook_timeout_seconds,
            clock=clock,
        ),
    )
    relay = Relay(resources.log, database, holder, clock)
    dispatcher = Dispatcher(
        Claimer(database, _rules(settings), clock),
        Recorder(database, clock, jitter, relay.wake.set),
        channels,
        _room(settings),
        clock,
    )

    def wake() -> None:
        dispatcher.look()
        relay.wake.set()

    def planned(due: Mapping[str, int]) -> None:
        dispatcher.announce(due)
        relay.wake.set()

    batcher = Batcher(database, CampaignIndex(known), Claimant(holder, ""), clock, planned)
    planning = Planning(resources.log, batcher, settings.session_timeout_ms)
    cancelling = Cancelling(database, clock, relay.wake.set)
    desk = Desk(database, clock, wake, cancelling, channels.webhook, tokens, settings.webhook_allow_private)
    trimmer = Trimmer(database, holder, clock, Retention.from_settings(settings), cancelling)
    return Notifier(resources, planning, dispatcher, relay, trimmer, channels, desk)


def read_letters(settings: Settings) -> Letters:
    """All templates, after a dry run with sample values. Raises Permanent that names the wrong one."""
    try:
        dry_run(SHIPPED, settings.default_locale, sample_values(_sender(settings).name))
        return Letters(settings.default_locale)
    except TemplateError as error:
        raise Permanent(str(error)) from None


def _sender(settings: Settings) -> Sender:
    try:
        return Sender.parse(settings.mail_from)
    except CannotWrite as error:
        raise Permanent(str(error)) from None


def _transport(settings: Settings) -> Transport:
    return Folder(settings.outbox_dir) if settings.delivery == "files" else MailServer(settings.smtp_url)


def _room(settings: Settings) -> Room:
    longest = max(settings.webhook_timeout_seconds, SMTP_SECONDS)
    # A lease too short for the longest attempt is used for half of its length rather than not at all.
    longest_ms = round(min(longest, settings.delivery_lease_seconds / 2) * SECOND_MS)
    return Room(settings.dispatch_concurrency, settings.dispatch_per_endpoint, longest_ms)


def _rules(settings: Settings) -> Rules:
    allowed = Allowed(settings.delivery != "allowlist", settings.delivery_allowlist)
    lease_ms = round(settings.delivery_lease_seconds * SECOND_MS)
    return Rules(allowed, round(settings.stale_after_hours * HOUR_MS), lease_ms)
