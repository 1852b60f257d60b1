"""Tells a story to running services from its first event to the check at the end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import httpx2
from rich.console import Console

from services.cli.demo.checking import differences, expectations
from services.cli.demo.plot import Story
from services.cli.demo.receiver import receiving
from services.cli.demo.seen import Seen
from services.cli.demo.shop import Addresses, Shop
from services.cli.demo.showing import show
from services.cli.demo.watching import Watcher
from shared.contracts.times import now_ms

_REQUEST_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a story is told: the services, a key with all scopes, the folder of e-mails, and the patience in seconds."""

    addresses: Addresses
    token: str
    outbox: Path
    patience_seconds: float


async def tell(out: Console, story: Story, stage: Stage) -> list[str]:
    """Post, watch, show and check; gives what differs. Raises NotTaken when a service refuses something."""
    seen = await _live_through(out, story, stage)
    show(out, story, seen, stage.outbox)
    found = differences(story, seen)
    out.rule("Check")
    for one in found:
        out.print(f"[bold red]differs[/] {one}", soft_wrap=True)
    if not found:
        out.print(f"[bold green]all {expectations(story)} expectations hold[/], nothing was done twice")
    return found


async def _live_through(out: Console, story: Story, stage: Stage) -> Seen:
    say = _teller(out)
    # Its line for each request would fill the services' log.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    headers = {"Authorization": f"Bearer {stage.token}"}
    with receiving() as receiver:
        async with httpx2.AsyncClient(headers=headers, timeout=_REQUEST_SECONDS, trust_env=False) as client:
            shop = Shop(client, stage.addresses, now_ms())
            receiver.secret = await shop.subscribe(receiver.url)
            say(f"a webhook receiver at {receiver.url} is subscribed")
            deadline = monotonic() + stage.patience_seconds
            watcher = Watcher(client, stage.addresses, story, receiver, stage.outbox, say, deadline)
            for chapter in story.chapters:
                say(f"[bold]{chapter.title}[/]: {await shop.live_through(chapter)} requests, all taken")
                await watcher.until(chapter.until)
            say("[bold]waiting[/] for two silences to end: timers fire as soon as the engine may believe in them")
            return await watcher.until_all()


def _teller(out: Console) -> Callable[[str], None]:
    def say(line: str) -> None:
        out.print(f"[dim]{time.strftime('%H:%M:%S')}[/] {line}", soft_wrap=True)
        out.file.flush()

    return say
