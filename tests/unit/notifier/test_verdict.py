"""The last word before sending, as a table."""

from __future__ import annotations

from typing import Any

import pytest

from services.notifier.domain.campaign import CampaignClass
from services.notifier.domain.change import Place
from services.notifier.domain.delivery import REASONS, Channel
from services.notifier.domain.verdict import Allowed, Circumstances, objection
from shared.contracts.outcomes import Suppression
from shared.contracts.times import DAY_MS, HOUR_MS
from tests.unit.notifier.making import NOW, contact, planned

TRANSACTIONAL = {"klass": CampaignClass.TRANSACTIONAL}
ONLY_US = Allowed(False, ("@jornada.example", "Ana@example.com"))


@pytest.mark.parametrize(
    ("letter", "customer", "known", "expected"),
    [
        ({}, {}, {}, None),
        ({}, {"consent": {}}, {}, Suppression.NO_CONSENT),
        ({}, {"consent": {"sms": True}}, {}, Suppression.NO_CONSENT),
        ({}, {"consent": {"email": False}}, {}, Suppression.NO_CONSENT),
        ({}, {"unsubscribed": True}, {}, Suppression.UNSUBSCRIBED),
        ({}, {"open_complaints": 1}, {}, Suppression.OPEN_COMPLAINT),
        ({}, {"email": None}, {}, Suppression.MISSING_ADDRESS),
        ({}, {}, {"switched_off": True}, Suppression.SWITCHED_OFF),
        ({}, {}, {"allowed": ONLY_US}, None),
        ({}, {"email": "x@jornada.example"}, {"allowed": ONLY_US}, None),
        ({}, {"email": "x@evil-jornada.example"}, {"allowed": ONLY_US}, Suppression.NOT_ALLOWLISTED),
        ({}, {"email": "eve@example.com"}, {"allowed": ONLY_US}, Suppression.NOT_ALLOWLISTED),
        (TRANSACTIONAL, {"consent": {}, "unsubscribed": True, "open_complaints": 2}, {}, None),
        (TRANSACTIONAL, {"email": ""}, {}, Suppression.MISSING_ADDRESS),
        (TRANSACTIONAL, {}, {"switched_off": True}, Suppression.SWITCHED_OFF),
        ({"while_in_stage": True}, {}, {}, None),
        ({"while_in_stage": True}, {"places": {"ecommerce": Place("at_risk", 2)}}, {}, Suppression.LEFT_STAGE),
        ({"while_in_stage": True}, {"places": {}}, {}, Suppression.LEFT_STAGE),
        ({}, {"places": {"ecommerce": Place("loyal", 1)}}, {}, None),
        ({"channel": Channel.WEBHOOK}, {"consent": {}, "email": None}, {}, None),
        ({"channel": Channel.WEBHOOK}, {}, {"switched_off": True}, Suppression.SWITCHED_OFF),
        # planned a day and a second after it took effect
        ({"planned_ms": NOW, "effective_ms": NOW - DAY_MS - 1000}, {}, {}, Suppression.STALE),
        ({"planned_ms": NOW, "effective_ms": NOW - DAY_MS}, {}, {}, None),
        # a delayed step is as old as the moment for which it was meant
        ({"planned_ms": NOW - 7 * DAY_MS, "effective_ms": NOW - 7 * DAY_MS, "due_ms": NOW - HOUR_MS}, {}, {}, None),
        (
            {"planned_ms": NOW - DAY_MS - 1, "effective_ms": NOW - DAY_MS - 1, "due_ms": NOW - DAY_MS - 1},
            {},
            {},
            "stale",
        ),
        ({**TRANSACTIONAL, "planned_ms": NOW, "effective_ms": NOW - 9 * DAY_MS}, {}, {}, None),
    ],
)
def test_verdicts(
    letter: dict[str, Any], customer: dict[str, Any], known: dict[str, Any], expected: Suppression | None
) -> None:
    given = {"switched_off": False, "allowed": Allowed(True), "stale_after_ms": DAY_MS, "now_ms": NOW, **known}
    assert objection(planned(**letter), Circumstances(contact(**customer), **given)) == expected


def test_every_reason_has_a_sentence_for_people() -> None:
    assert set(REASONS) == set(Suppression)
