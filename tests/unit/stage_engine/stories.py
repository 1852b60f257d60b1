"""What the stories of shipped lifecycles are told with: rules by name, what happens on a day, and the way that came of it.

A story module `test_<lifecycle>_story.py` has `RULES` and `STORIES` (steps and the way that they must lead to), so that
test_shipped_lifecycles can tell which transitions no story takes. Days may be broken: `1.5` is noon of day 1, in UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from services.stage_engine.definitions.definition import SHIPPED, load_definition
from services.stage_engine.domain.lifecycle import Rules, in_order
from tests.unit.stage_engine.timeline import D, Step, live, play, tick

Stories = Mapping[str, tuple[list[Step], str]]


class Way(NamedTuple):
    """How somebody comes to a stage: by which steps, through what, and a day on which their story can go on."""

    steps: list[Step]
    through: str
    day: float


def from_each(told: str, stages: str, ways: Mapping[str, Way], then: Callable[[float], Step], ends: str) -> Stories:
    """A story for each of some stages: the way there, and what happens then, which must lead to `ends`."""
    return {
        f"{told} of {stage}": ([*ways[stage].steps, then(ways[stage].day)], f"{ways[stage].through} {ends}")
        for stage in stages.split()
    }


def shipped(*names: str) -> Rules:
    """Shipped lifecycles, in the order in which they run."""
    return Rules(in_order(load_definition(SHIPPED / f"{name}.yaml").compile(1, "BRL") for name in names), "BRL")


def way(by: Rules, lifecycle: str, steps: Iterable[Step]) -> str:
    """The stages that one lifecycle enters, each with the transition that led there: `prospect signed_up:lead`."""
    changes = (change for change in play(by, *steps).changes if change.lifecycle.name == lifecycle)
    return " ".join(f"{change.transition.id}:{change.to}" if change.transition else change.to for change in changes)


def happens(day: float, type_: str, **data: Any) -> Step:
    """A live event; fields that are None are left out."""
    return live(round(day * D), type_, **{name: value for name, value in data.items() if value is not None})


def until(day: float) -> Step:
    """Time goes by until the lateness after a day's beginning, so that what was due then has gone off."""
    return tick(round(day * D) + 5)


def bought(*days: float, amount: str = "10.00", margin: str | None = None) -> list[Step]:
    """An order on each of the days."""
    return [happens(day, "purchase", order_id=f"o-{day}", amount=amount, currency="BRL", margin=margin) for day in days]


def refunded(day: float, amount: str) -> Step:
    """Money given back."""
    return happens(day, "purchase_refunded", order_id="o", amount=amount, currency="BRL")


def engaged(channel: str, *days: float, cost: str | None = None) -> list[Step]:
    """Attention on a channel, which may have cost something."""
    currency = None if cost is None else "BRL"
    return [happens(day, "engagement", channel=channel, cost=cost, currency=currency) for day in days]


def answered(day: float, kind: str, score: int) -> Step:
    """An answer to a survey."""
    return happens(day, "survey_response", kind=kind, score=score)


def complained(day: float, id_: str = "k", severity: str | None = None) -> Step:
    """A complaint."""
    return happens(day, "complaint", complaint_id=id_, severity=severity)


def solved(day: float, id_: str = "k", satisfied: bool | None = None) -> Step:
    """A complaint was resolved."""
    return happens(day, "complaint_resolved", complaint_id=id_, satisfied=satisfied)


def cart(day: float, *skus: str) -> Step:
    """The cart as it now stands."""
    return happens(day, "cart_updated", cart_id="c", items=[{"sku": sku, "quantity": 1} for sku in skus])
