"""What `advance` costs by the size of the rules: a hundred transitions against five, three lifecycles against one."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from statistics import median

from services.stage_engine.definitions.definition import SHIPPED, load_definition, parse_definition
from services.stage_engine.domain.event import Event, Origin
from services.stage_engine.domain.lifecycle import Lifecycle, Rules, in_order
from shared.contracts.times import MINUTE_MS
from tests.benchmarks.advance_cost import START_MS, history, run
from tests.benchmarks.report import Line, step
from tests.benchmarks.rule_shapes import HARDEST, LARGE, OWN_TYPES, SHAPES, SMALL, Shape

_NAMES = ("ecommerce", "customer_care", "loyalty_tiers")
_ROUNDS = 5
_SHAPE_EVENTS = 10_000
_SHAPE_CUSTOMERS = 50


@dataclass(frozen=True, slots=True)
class Compared:
    """CPU microseconds of `advance` per event under two sets of rules; `ratio` is the median over pairs of runs."""

    first: float
    second: float
    ratio: float


def measure(scale: float = 1.0) -> list[Line]:
    """All of it. `scale` shortens the histories; in shorter ones than a quarter, first events would count for too much."""
    scale = max(scale, 0.25)
    step("advance by the size of the rules")
    return [*_by_size(int(_SHAPE_EVENTS * scale)), *_by_number(history()[: int(20_000 * scale)])]


def _by_size(events: int) -> list[Line]:
    lines = []
    mixture = mixed(events)
    for shape in SHAPES:
        found = _sizes(shape, mixture)
        lines.append(_line(f"{LARGE} transitions against {SMALL}: {shape.name}", found))
    found = _sizes(HARDEST, [each for each in mixture if each.type == "engagement"])
    each = (found.second - found.first) / (LARGE - SMALL)
    lines.append(Line(f"  {HARDEST.name}: each more", f"{each:.2f} µs"))
    return lines


def _sizes(shape: Shape, events: Sequence[Event]) -> Compared:
    small, large = (Rules((shape.lifecycle(size),), "BRL") for size in (SMALL, LARGE))
    return compare(small, large, events)


def _by_number(events: Sequence[Event]) -> list[Line]:
    one, three = (Rules(in_order(_renamed("ecommerce", name) for name in names), "BRL") for names in ("a", "abc"))
    lines = [_line("three lifecycles against one: ecommerce three times", compare(one, three, events))]
    return [*lines, *_shipped_together(events)]


def _shipped_together(events: Sequence[Event]) -> list[Line]:
    """The ones that are shipped do different things, so each alone is shown beside the three; there is no goal for these."""
    together, lines = _shipped(*_NAMES), []
    for name in _NAMES:
        found = compare(_shipped(name), together, events)
        lines.append(replace(_line(f"  {', '.join(_NAMES)} against {name} alone", found), goal="", met=None))
    return lines


def _line(what: str, found: Compared) -> Line:
    return Line(what, f"{found.ratio:.2f} ({found.first:.1f} → {found.second:.1f} µs)", "≤ 2", found.ratio <= 2)


def compare(first: Rules, second: Rules, events: Sequence[Event]) -> Compared:
    """Run both in turn, so that the machine's moods hit both alike."""
    run(first, events[:500])
    run(second, events[:500])
    pairs = [(_cpu(first, events), _cpu(second, events)) for _ in range(_ROUNDS)]
    return Compared(
        median(each[0] for each in pairs),
        median(each[1] for each in pairs),
        median(each[1] / each[0] for each in pairs),
    )


def _cpu(rules: Rules, events: Sequence[Event]) -> float:
    """Without the garbage collector: the engine collects between batches, and what is counted here is deciding."""
    gc.collect()
    gc.disable()
    before = time.process_time()
    run(rules, events)
    used = time.process_time() - before
    gc.enable()
    return used / len(events) * 1e6


def mixed(count: int, seed: int = 3) -> list[Event]:
    """A shop's ordinary events and, every second one, events of its own types."""
    random = Random(seed)
    ordinary = iter(history())
    made = []
    for number in range(count):
        moment = START_MS + number * MINUTE_MS
        customer = f"c-{random.randrange(_SHAPE_CUSTOMERS)}"
        base = next(ordinary)
        kind, data = (base.type, base.data) if number % 2 else (random.choice(OWN_TYPES), {})
        origin = Origin("shop", customer, f"e-{number}", kind)
        made.append(Event.taken(origin, moment, moment, backfill=False, data=data))
    return made


def _shipped(*names: str) -> Rules:
    return Rules(in_order(load_definition(SHIPPED / f"{name}.yaml").compile(1, "BRL") for name in names), "BRL")


def _renamed(shipped: str, name: str) -> Lifecycle:
    """A shipped lifecycle under another name."""
    body = (SHIPPED / f"{shipped}.yaml").read_text().replace(f"lifecycle: {shipped}", f"lifecycle: {name}", 1)
    return parse_definition(name, body).compile(1, "BRL")
