"""Shows what was seen: paths with reasons, campaigns with outcomes, one e-mail, the webhooks."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from services.cli.demo.plot import Story
from services.cli.demo.receiver import Received
from services.cli.demo.seen import Seen, SeenChange, SeenCustomer

_LETTER_LINES = 40
_WEBHOOKS = 12


def show(out: Console, story: Story, seen: Seen, outbox: Path) -> None:
    """All of it, in the order in which it happened."""
    _show_paths(out, story, seen)
    _show_campaigns(out, story, seen)
    _show_letters(out, seen.letters, outbox)
    _show_webhooks(out, seen.webhooks)


def _show_paths(out: Console, story: Story, seen: Seen) -> None:
    out.rule("Each customer's path, with the reason for each change")
    for customer in story.customers:
        table = Table(box=None, padding=(0, 2), show_header=False)
        for change in seen.customers.get(customer.id, SeenCustomer()).changes:
            table.add_row(*_row(change))
        out.print(Text.assemble((customer.name, "bold"), f" {customer.about}"))
        out.print(table)


def _row(change: SeenChange) -> tuple[str, ...]:
    move = change.move
    colour = "dim" if not move.live else "yellow" if change.cause["kind"] == "timer" else "default"
    stages = f"[{colour}]{move.from_ or '·'} → {move.to}[/]"
    return (f"[dim]{change.effective_at[:16]}[/]", move.lifecycle, stages, move.transition or "start", change.why())


def _show_campaigns(out: Console, story: Story, seen: Seen) -> None:
    out.rule("Each campaign, fired or not, and why")
    table = Table("customer", "campaign", "step", "outcome", "why")
    for customer in story.customers:
        for one in reversed(seen.customers.get(customer.id, SeenCustomer()).emails()):
            outcome = f"[green]{one.fate.status}[/]" if one.fate.status == "sent" else f"[yellow]{one.fate.status}[/]"
            reason = f"{one.fate.reason}: {one.detail}" if one.fate.reason else one.detail
            waits = "for its day; cancelled if the customer leaves the stage" if one.fate.status == "waiting" else ""
            table.add_row(customer.name, one.fate.campaign, one.fate.step, outcome, reason or waits)
    out.print(table)


def _show_letters(out: Console, letters: Sequence[Path], outbox: Path) -> None:
    out.rule(f"{len(letters)} e-mails, as .eml files")
    out.print(f"in {outbox}/ ; the newest:", soft_wrap=True)
    if letters:
        newest = max(letters, key=lambda path: path.stat().st_mtime_ns)
        out.print(Panel(Text(_text_of(newest)), expand=False))


def _text_of(letter: Path) -> str:
    """Headers that matter and the text part."""
    message = email.message_from_bytes(letter.read_bytes(), policy=email.policy.default)
    names = ("From", "To", "Subject", "List-Unsubscribe", "List-Unsubscribe-Post")
    headers = "\n".join(f"{name}: {message[name]}" for name in names if message[name])
    body = message.get_body(("plain",))
    lines = (body.get_content() if body is not None else "").strip().splitlines()
    return "\n".join([headers, "", *lines[:_LETTER_LINES]])


def _show_webhooks(out: Console, webhooks: Sequence[Received]) -> None:
    out.rule(f"{len(webhooks)} webhooks, each verified by its receiver (Standard Webhooks)")
    table = Table("webhook-id", "webhook-signature", "customer", "stage change", "cause")
    for one in webhooks[-_WEBHOOKS:]:
        data = one.payload["data"]
        stages = f"{data['from'] or '·'} → {data['to']}"
        shown = f"{one.signature[:16]}…"
        table.add_row(one.id, shown, data["customer_id"], stages, data["cause"]["kind"])
    out.print(table)
    if len(webhooks) > _WEBHOOKS:
        out.print(f"[dim]the last {_WEBHOOKS}; {len(webhooks) - _WEBHOOKS} came before[/]")
