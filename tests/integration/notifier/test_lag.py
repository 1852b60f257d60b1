"""How far behind the notifier says that it is."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from prometheus_client import REGISTRY

from services.notifier.lag import observe_records
from shared.contracts.times import HOUR_MS
from shared.log.port import Consumer, TopicPartition
from tests.integration.notifier.house import Customer, House
from tests.integration.notifier.receivers import until


@dataclass
class FiveBehind:
    """A member that has five records still to fetch in each partition."""

    consumer: Consumer

    def __getattr__(self, name: str) -> object:
        return getattr(self.consumer, name)

    async def end_offset(self, where: TopicPartition) -> int:
        return await self.consumer.end_offset(where) + 5


def told(metric: str, where: TopicPartition) -> float | None:
    """What a scrape would read."""
    labels = {"service": "notifier", "topic": where.topic, "partition": str(where.partition)}
    return REGISTRY.get_sample_value(metric, labels)


async def test_lag_in_seconds_is_the_age_of_the_last_record_handled_while_more_are_waiting(house: House) -> None:
    await house.say(Customer("c-1", consent={}).moves("lead"))
    planning = house.notifier.planning
    await until(lambda: bool(planning.arrivals), "the stage change to be handled")
    assert planning.consumer is not None
    [where] = planning.arrivals
    earlier = {where: planning.arrivals[where] - HOUR_MS}
    behind: Consumer = FiveBehind(planning.consumer)  # type: ignore[assignment]
    await observe_records(behind, frozenset({where}), earlier)
    assert told("jornada_lag_records", where) == 5
    assert told("jornada_lag_seconds", where) == pytest.approx(3600, abs=30)
    await observe_records(planning.consumer, frozenset({where}), earlier)
    assert (told("jornada_lag_records", where), told("jornada_lag_seconds", where)) == (0, 0)
