"""Whatever the cause of a stage change, the notifier can read it; what is live is acted on, what is not is left."""

from __future__ import annotations

import json

import pytest

from services.notifier.store import tables
from shared.contracts.stage_changed import Cause, ManualCause, PublishedCause, RecomputedCause, TimerCause
from tests.integration.notifier.house import Customer, House
from tests.integration.notifier.receivers import until

MOVED = ManualCause("Eva", "won a prize", "move-1")
AT = "2026-11-22T14:03:11.000Z"


async def test_a_campaign_fires_for_a_stage_that_a_person_put_the_customer_into(house: House) -> None:
    subscription = await house.subscribe("/hook")
    assert subscription["secret"]
    await house.say(Customer("c-1").moves("lead", cause=MOVED, transition=None, facts={}))
    await until(lambda: bool(house.mailbox.messages and house.receiver.hooks), "the letter and the webhook")
    body = json.loads(house.receiver.hooks[0].body)
    assert body["data"]["cause"] == {"kind": "manual", "by": "Eva", "reason": "won a prize", "move_id": "move-1"}
    assert body["data"]["transition"] is None


@pytest.mark.parametrize("cause", [RecomputedCause(AT), PublishedCause("p-1", 2), TimerCause(AT), MOVED])
async def test_no_campaign_acts_on_backfill_whatever_its_cause(house: House, cause: Cause) -> None:
    await house.say(Customer("c-1").moves("lead", cause=cause, transition=None, mode="backfill"))
    await house.say(Customer("c-2", email="rui@example.com").moves("lead"))
    await until(lambda: bool(house.mailbox.messages), "the letter to the other")
    assert [str(each["To"]) for each in house.mailbox.messages] == ["Ana <rui@example.com>"]
    assert await house.count(tables.dead_records) == 0
    assert await house.count(tables.contacts) == 2
