"""Tables of what a stage change leads to."""

from __future__ import annotations

from typing import Any

import pytest

from services.notifier.definitions.audience import CelAudience
from services.notifier.domain.campaign import CampaignIndex, Movement, Policy, PolicyKind
from services.notifier.domain.change import Place
from services.notifier.domain.delivery import DeliveryKey, Planned, Suppressed
from services.notifier.domain.plan import left_behind, plan_campaign, plan_webhooks
from services.notifier.domain.subscription import Filters, SubscriptionStatus
from shared.contracts.outcomes import Suppression
from shared.contracts.times import DAY_MS
from tests.unit.notifier.making import NOW, campaign, change, contact, planned, subscription, trigger


@pytest.mark.parametrize(
    ("of_trigger", "of_change", "expected"),
    [
        ({}, {}, True),
        ({}, {"to_stage": "loyal"}, False),
        ({}, {"lifecycle": "customer_care"}, False),
        ({}, {"settled": False}, False),
        ({"transit": True}, {"settled": False}, True),
        ({"from_stages": frozenset({"loyal"})}, {}, True),
        ({"from_stages": frozenset({"lead"})}, {}, False),
        ({"from_stages": frozenset({"lead"})}, {"from_stage": None}, False),
        ({"movement": Movement.LEFT, "from_stages": frozenset({"loyal"}), "to_stages": frozenset()}, {}, True),
        (
            {"movement": Movement.LEFT, "from_stages": frozenset({"loyal"}), "to_stages": frozenset()},
            {"settled": False},
            True,
        ),
        ({}, {"backfill": True}, False),
    ],
)
def test_triggers(of_trigger: dict[str, Any], of_change: dict[str, Any], expected: bool) -> None:
    index = CampaignIndex({"win-back": campaign(trigger=trigger(**of_trigger))})
    assert bool(index.triggered_by(change(**of_change))) is expected


def test_steps_are_due_by_their_delay_after_the_change_took_effect() -> None:
    results = plan_campaign(campaign(), change(effective_ms=NOW - 1000), contact(), None, NOW)
    assert [one.due_ms for one in results if isinstance(one, Planned)] == [NOW - 1000, NOW - 1000 + 7 * DAY_MS]


def test_planning_twice_gives_the_same_ids_and_other_changes_others() -> None:
    first, again = (plan_campaign(campaign(), change(), contact(), None, NOW + n) for n in (0, 5))
    other = plan_campaign(campaign(), change(id="ch-2"), contact(), None, NOW)
    ids = [[one.id for one in plan if isinstance(one, Planned)] for plan in (first, again, other)]
    assert ids[0] == ids[1]
    assert len({*ids[0], *ids[2]}) == 4


def test_parts_of_a_key_can_not_run_into_each_other() -> None:
    assert DeliveryKey("a", "b", "c", "d", "e").delivery_id() != DeliveryKey("a", "bc", "", "d", "e").delivery_id()
    assert DeliveryKey("a", "1:b", "c", "d", "e").delivery_id() != DeliveryKey("a", "1", "b:c", "d", "e").delivery_id()


@pytest.mark.parametrize(
    ("policy", "last_run_ms", "expected"),
    [
        (Policy(), NOW, None),
        (Policy(PolicyKind.ONCE), None, None),
        (Policy(PolicyKind.ONCE), NOW - 999 * DAY_MS, Suppression.POLICY),
        (Policy(PolicyKind.COOLDOWN, 30 * DAY_MS), NOW - 30 * DAY_MS + 1, Suppression.POLICY),
        (Policy(PolicyKind.COOLDOWN, 30 * DAY_MS), NOW - 30 * DAY_MS, None),
    ],
)
def test_policies(policy: Policy, last_run_ms: int | None, expected: Suppression | None) -> None:
    results = plan_campaign(campaign(policy=policy), change(), contact(), last_run_ms, NOW)
    assert {one.reason if isinstance(one, Suppressed) else None for one in results} == {expected}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('customer.locale == "pt-BR"', True),
        ('customer.locale == "en"', False),
        ("change.entry == 1 && customer.open_complaints == 0", True),
        ('customer.time_zone == "America/Recife"', False),
        ('customer.time_zone == "America/Recife" || change.from == "loyal"', True),
        ("change.entry / 0 == 1", False),
    ],
)
def test_audiences(source: str, expected: bool) -> None:
    results = plan_campaign(campaign(audience=CelAudience(source)), change(), contact(), None, NOW)
    reasons = {one.reason if isinstance(one, Suppressed) else None for one in results}
    assert reasons == {None if expected else Suppression.NOT_IN_AUDIENCE}


@pytest.mark.parametrize(
    ("of_subscription", "of_change", "expected"),
    [
        ({}, {}, True),
        ({}, {"tenant": "rival"}, False),
        ({}, {"settled": False}, False),
        ({"transit": True}, {"settled": False}, True),
        ({}, {"backfill": True}, False),
        ({"include_backfill": True}, {"backfill": True}, True),
        ({"status": SubscriptionStatus.PAUSED}, {}, True),
        ({"status": SubscriptionStatus.DISABLED}, {}, False),
        ({"filters": Filters(transitions=frozenset({"went_quiet"}))}, {}, True),
        ({"filters": Filters(transitions=frozenset({"other"}))}, {}, False),
        ({"filters": Filters(from_stages=frozenset({"loyal"}), to_stages=frozenset({"lead"}))}, {}, False),
    ],
)
def test_subscriptions(of_subscription: dict[str, Any], of_change: dict[str, Any], expected: bool) -> None:
    assert bool(plan_webhooks(change(**of_change), [subscription(**of_subscription)], NOW)) is expected


@pytest.mark.parametrize(
    ("waiting", "ended"),
    [
        ({"while_in_stage": True, "place": Place("loyal", 1)}, True),
        ({"while_in_stage": True, "place": Place("at_risk", 1)}, False),
        ({"while_in_stage": True, "place": Place("at_risk", 2)}, True),
        ({"while_in_stage": True, "place": Place("loyal", 1), "lifecycle": "customer_care"}, False),
        ({"while_in_stage": False, "place": Place("loyal", 1)}, False),
    ],
)
def test_leaving_ends_what_waited_for_the_stage(waiting: dict[str, Any], ended: bool) -> None:
    assert bool(left_behind(change(), [planned(**waiting)])) is ended
