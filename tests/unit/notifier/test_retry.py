"""Retry arithmetic, worked by hand."""

from __future__ import annotations

from typing import Any

import pytest

from services.notifier.channels.webhook import judge, retry_after_ms
from services.notifier.domain.delivery import Attempted, Channel
from services.notifier.domain.retry import Decision, Disable, Done, GiveUp, Pause, RetryAt, Tried, decide
from shared.contracts.times import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from tests.unit.notifier.making import NOW


def failed(**given: Any) -> Attempted:
    return Attempted(**{"ok": False, "started_ms": NOW, "duration_ms": 5, "error": "broken", **given})


def tried(attempts: int, since: int | None = None, channel: Channel = Channel.WEBHOOK) -> Tried:
    return Tried(channel, attempts, since, NOW)


@pytest.mark.parametrize(
    ("attempts", "wait_ms"),
    [
        (1, 5 * SECOND_MS),
        (2, 5 * MINUTE_MS),
        (3, 30 * MINUTE_MS),
        (4, 2 * HOUR_MS),
        (5, 5 * HOUR_MS),
        (6, 10 * HOUR_MS),
        (7, 14 * HOUR_MS),
        (8, 20 * HOUR_MS),
        (9, 24 * HOUR_MS),
    ],
)
def test_the_schedule_and_its_jitter(attempts: int, wait_ms: int) -> None:
    for jitter, factor in ((0.0, 0.8), (0.5, 1.0), (1.0, 1.2)):
        assert decide(tried(attempts), failed(), jitter) == RetryAt(NOW + round(wait_ms * factor))


@pytest.mark.parametrize(
    ("what", "attempted", "expected"),
    [
        (tried(1), Attempted(True, NOW, 5), Done()),
        (tried(10), failed(), GiveUp("10 attempts failed; last: broken")),
        (tried(1), failed(permanent=True), GiveUp("broken")),
        (tried(1), failed(gone=True), Disable("the receiver answered 410 Gone")),
        (tried(1), failed(retry_after_ms=HOUR_MS), RetryAt(NOW + HOUR_MS)),
        (tried(3), failed(retry_after_ms=SECOND_MS), RetryAt(NOW + 30 * MINUTE_MS)),
        (tried(1), failed(retry_after_ms=400 * DAY_MS), RetryAt(NOW + DAY_MS)),
        (tried(1, NOW - 120 * HOUR_MS + 1), failed(), RetryAt(NOW + 5 * SECOND_MS)),
        (
            tried(10, NOW - 120 * HOUR_MS),
            failed(),
            Pause("no attempt has succeeded for 120 hours; last: broken"),
        ),
        (tried(1, channel=Channel.EMAIL), failed(), RetryAt(NOW + 30 * SECOND_MS)),
        (tried(7, channel=Channel.EMAIL), failed(), GiveUp("7 attempts failed; last: broken")),
    ],
)
def test_what_follows_an_attempt(what: Tried, attempted: Attempted, expected: Decision) -> None:
    assert decide(what, attempted, 0.5) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"7", 7 * SECOND_MS),
        (b"0", 0),
        (b" 120 ", 120 * SECOND_MS),
        (b"Mon, 21 Sep 2026 13:54:40 GMT", None),
        (b"-5", None),
        (b"soon", None),
        (b"", None),
        ("٧".encode("latin-1", "replace"), None),
        (b"9" * 500, 999_999_999 * SECOND_MS),
    ],
)
def test_retry_after(text: bytes, expected: int | None) -> None:
    found = retry_after_ms([(b"Retry-After", text)], NOW)
    if text.startswith(b"Mon"):
        assert found == 1_789_998_880_000 - NOW if NOW < 1_789_998_880_000 else found == 0
    else:
        assert found == expected


def test_a_date_ahead_is_waited_for() -> None:
    # NOW is 2026-09-21T14:13:20Z
    assert retry_after_ms([(b"retry-after", b"Mon, 21 Sep 2026 14:14:20 GMT")], NOW) == MINUTE_MS


@pytest.mark.parametrize(
    ("status", "ok", "gone"),
    [(one, 200 <= one < 300, one == 410) for one in (200, 204, 299, 301, 400, 404, 410, 429, 500)],
)
def test_answers(status: int, ok: bool, gone: bool) -> None:
    made = judge(status, [], NOW, 5)
    assert (made.ok, made.gone, made.permanent) == (ok, gone, False)
