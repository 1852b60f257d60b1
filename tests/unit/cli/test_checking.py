"""The demo's check: silent about what is as it must be, and never silent about anything else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.cli.demo.checking import differences, expectations
from services.cli.demo.plot import Customer, Fate, Move
from services.cli.demo.receiver import Received
from services.cli.demo.seen import Seen, SeenChange, SeenCustomer, SeenDelivery
from services.cli.demo.story import STORY

CAUSE = {"kind": "event", "id": "e", "type": "signup", "time": "2026-01-01T00:00:00.000Z"}


def as_it_must_be() -> Seen:
    """What a faultless run of the story looks like."""
    customers = {one.id: _customer(one) for one in STORY.customers}
    webhooks = tuple(
        _webhook(one.id, move, f"{one.id}-{number}")
        for one in STORY.customers
        for number, move in enumerate(one.moves)
        if move.live and move.settled
    )
    return Seen(customers, webhooks, 0, tuple(Path(f"{number}.eml") for number in range(STORY.letters())))


def _customer(one: Customer) -> SeenCustomer:
    changes = tuple(
        SeenChange(f"{one.id}-{number}", number, "2026-01-01T00:00:00.000Z", move, CAUSE, {})
        for number, move in enumerate(one.moves, start=1)
    )
    deliveries = tuple(SeenDelivery(f"{one.id}-{fate}", "email", fate, "") for fate in one.fates)
    return SeenCustomer(changes, deliveries, dict(one.facts))


def _webhook(customer_id: str, move: Move, identity: str) -> Received:
    data = {"customer_id": customer_id, "lifecycle": move.lifecycle, "from": move.from_, "to": move.to}
    return Received(identity, "v1,x", {"type": "customer.stage_changed", "data": data})


def with_ana(**changed: Any) -> Seen:
    """The faultless run with something else about Ana."""
    seen = as_it_must_be()
    return replace(seen, customers={**seen.customers, "ana": replace(seen.customers["ana"], **changed)})


def test_a_faultless_run_differs_in_nothing() -> None:
    assert differences(STORY, as_it_must_be()) == []


def test_the_story_has_what_the_demo_promises() -> None:
    types = {one.type for chapter in STORY.chapters for one in chapter.happenings}
    assert len(STORY.customers) >= 8
    assert {"signup", "purchase", "complaint", "complaint_resolved", "survey_response", "referral"} <= types
    assert any(chapter.imported for chapter in STORY.chapters)
    assert {fate.reason for one in STORY.customers for fate in one.fates} >= {
        "no_consent", "missing_address", "open_complaint", "stale", "left_stage",
    }  # fmt: skip
    assert expectations(STORY) > 100


def test_a_customer_who_was_never_seen_is_named() -> None:
    seen = as_it_must_be()
    found = differences(STORY, replace(seen, customers={k: v for k, v in seen.customers.items() if k != "emma"}))
    assert found
    assert all(one.startswith("Emma Clarke") for one in found)


def test_a_missing_stage_change_is_found() -> None:
    ana = as_it_must_be().customers["ana"]
    found = differences(STORY, with_ana(changes=ana.changes[:-1]))
    assert len(found) == 1
    assert "the path in ecommerce must be" in found[0]


def test_a_gap_in_the_sequence_is_found() -> None:
    ana = as_it_must_be().customers["ana"]
    moved = (*ana.changes[:-1], replace(ana.changes[-1], sequence=9))
    assert differences(STORY, with_ana(changes=moved)) == [
        "Ana Souza: stage changes are numbered [1, 2, 3, 9], with a gap or a double"
    ]


def test_an_email_sent_twice_is_found() -> None:
    ana = as_it_must_be().customers["ana"]
    found = differences(STORY, with_ana(deliveries=(*ana.deliveries, ana.deliveries[0])))
    assert found == ["Ana Souza: campaign welcome/hello sent must not have come about"]


def test_a_suppression_for_another_reason_is_found() -> None:
    ana = as_it_must_be().customers["ana"]
    other = replace(ana.deliveries[0], fate=Fate("welcome", "hello", "suppressed", "no_consent"))
    assert len(differences(STORY, with_ana(deliveries=(other, *ana.deliveries[1:])))) == 2


def test_a_wrong_fact_is_found() -> None:
    found = differences(STORY, with_ana(facts={"orders": 2, "revenue": "129.90"}))
    assert found == ["Ana Souza: the fact orders must be 1 and is 2"]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (lambda seen: replace(seen, webhooks=seen.webhooks[1:]), "no verified webhook says"),
        (lambda seen: replace(seen, webhooks=(*seen.webhooks, seen.webhooks[0])), "came twice"),
        (lambda seen: replace(seen, refused_webhooks=1), "no valid signature"),
        (lambda seen: replace(seen, letters=seen.letters[1:]), "e-mails must have been written"),
    ],
)
def test_what_concerns_nobody_in_particular_is_found_too(changed: Any, expected: str) -> None:
    found = differences(STORY, changed(as_it_must_be()))
    assert any(expected in one for one in found), found
