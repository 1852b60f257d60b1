"""Each event as ingest itself would look at it, before anything is posted. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from services.cli.importing.applying import Draft
from services.cli.importing.problems import Problem
from services.ingest.domain.envelope import decode_envelope
from services.ingest.domain.intake import Intake, take
from services.ingest.domain.outcome import Refused
from shared.contracts.cloudevent import BACKFILL

_LONGEST_TENANT = "t" * 63
"""Whose events they become is the key's matter; what fits with the longest name fits with any."""


@dataclass(frozen=True, slots=True)
class Checked:
    """An event that ingest takes. `time_ms` is when it happened, `body` what is posted, `warnings` what ingest has to say."""

    line: int
    part: int
    time_ms: int
    type: str
    customer_id: str
    id: str
    body: bytes
    warnings: tuple[str, ...] = ()


def intake(now_ms: int) -> Intake:
    """Ingest's view of an import at a time, in milliseconds."""
    return Intake(_LONGEST_TENANT, may_backfill=True, now_ms=now_ms, new_id=_no_id)


def check(intake: Intake, draft: Draft) -> Checked | list[Problem]:
    """The event, or all that is wrong with it."""
    outcome = take(intake, draft.body)
    if isinstance(outcome, Refused):
        return [
            Problem(draft.line, column_at(draft.columns, error.pointer), error.pointer, error.detail, error.advice)
            for error in outcome.errors
        ]
    return Checked(
        line=draft.line,
        part=draft.part,
        time_ms=outcome.time_ms,
        type=outcome.type,
        customer_id=outcome.customer_id,
        id=outcome.id,
        body=draft.body,
        warnings=outcome.warnings,
    )


def native(line: int, text: bytes) -> Draft:
    """A line that holds an event as POST /v1/events takes it; whatever its `mode`, an import makes it backfill."""
    try:
        envelope = decode_envelope(text)
    except (ValueError, RecursionError):
        return Draft(line, 0, text, {})  # ingest says best what is wrong with it
    given = {
        "id": envelope.id,
        "type": envelope.type,
        "customer_id": envelope.customer_id,
        "time": envelope.time,
        "data": envelope.data if bytes(envelope.data) else None,
    }
    body = {name: value for name, value in given.items() if value is not None} | {"mode": BACKFILL}
    return Draft(line, 0, msgspec.json.encode(body), {})


def column_at(columns: Mapping[str, str], pointer: str) -> str:
    """The column behind a place in an event, or behind the nearest place above it; empty when none is."""
    while pointer and pointer not in columns:
        pointer = pointer.rpartition("/")[0]
    return columns.get(pointer, "")


def _no_id() -> str:
    raise AssertionError("an imported event without an id is refused")
