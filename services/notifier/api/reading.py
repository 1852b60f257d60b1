"""What the routes share: the state that they work on, and pages."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from fastapi import Query

from services.notifier.cancelling import Cancelling
from services.notifier.channels.webhook import WebhookChannel
from services.notifier.unsubscribing import LazyTokens
from shared.db.port import Database
from shared.http.problems import INVALID, NOT_FOUND, Problem

MOST_ON_A_PAGE: Final = 200

Limit = Annotated[int, Query(ge=1, le=MOST_ON_A_PAGE, description="most items on a page")]
Cursor = Annotated[str, Query(max_length=500, description="`next` of the page before")]


@dataclass(frozen=True, slots=True)
class Desk:
    """What the routes need. `wake` makes the dispatcher look at once."""

    database: Database
    clock: Callable[[], int]
    wake: Callable[[], None]
    cancelling: Cancelling
    webhooks: WebhookChannel
    tokens: LazyTokens
    allow_private: bool


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where the next page starts: behind this time and id, in descending order."""

    planned_ms: int
    id: str


def read_cursor(text: str) -> Place | None:
    """The place that a cursor names; None for the first page. Raises Problem 422."""
    if not text:
        return None
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text + "=="), type=Place)
    except ValueError:
        raise Problem(INVALID, "the cursor is none of ours: pass `next` of the page before as it was") from None


def write_cursor(place: Place) -> str:
    """A cursor as text."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def not_found(what: str, identity: str) -> Problem:
    """404: unknown, or another tenant's, which is told alike."""
    return Problem(NOT_FOUND, f"there is no {what} {identity[:100]!r}")
