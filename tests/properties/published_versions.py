"""Random publications as hypothesis strategies: two versions of one lifecycle beside another, and a log in which events,
imports, moves by hand and publications come in any order."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import cast

from hypothesis import strategies as st

from services.stage_engine.definitions.definition import Definition
from services.stage_engine.definitions.together import check_together
from services.stage_engine.domain.by_hand import MANUAL_MOVE
from services.stage_engine.publications.control import PUBLISHED_TYPE, message
from services.stage_engine.rulebook import RuleBook
from services.stage_engine.store.publications import Publication
from shared.auth.tenants import Tenants
from shared.contracts.cloudevent import BACKFILL, LIVE, Posted, encode_posted, record_key
from shared.contracts.times import DAY_MS, MINUTE_MS
from shared.contracts.topics import Topic
from shared.log.port import Record
from tests.properties.declared import CURRENCY
from tests.properties.histories import ANCHORS, ZONES
from tests.properties.lifecycles import Around, definition_of, edges, own_facts, plans
from tests.properties.oracle import Edge, Plan
from tests.properties.records import Record as Happening
from tests.properties.test_advance_laws import mixed

TENANT = "t"
END_MS = 10 * DAY_MS
"""How long after the last of it everybody is heard of once more, so that what had become due shows."""


@dataclass(frozen=True)
class Versions:
    """Two lifecycles, and another version of one of them; `migrate` says where customers of its lost stages go, `back` the
    same for the way back."""

    before: Plan
    after: Plan
    beside: Plan
    migrate: Mapping[str, str]
    back: Mapping[str, str]

    def rulebook(self) -> RuleBook:
        """As an engine that began with the first version has it, and has read the second."""
        first, beside, second = map(definition_of, (self.before, self.beside, self.after))
        check_together([first, beside])
        check_together([second, beside])
        rulebook = RuleBook(_first_versions(first, beside), cast(Tenants, _OneCurrency()), CURRENCY)
        rulebook.take(second, 2)
        return rulebook


def _first_versions(*definitions: Definition) -> dict[tuple[str, int], Definition]:
    return {(each.name, 1): each for each in definitions}


class _OneCurrency:
    async def currency(self, _tenant: str) -> str:
        return CURRENCY


@st.composite
def versions(draw: st.DrawFn, zone: str, *, same_facts: bool | None = None) -> Versions:
    """The lifecycle that gets another version may be read by the one beside it, or read that one's stage."""
    one = draw(plans("m", zone, ()))
    reader = draw(plans("b", zone, (one,)))
    if same_facts is None:
        same_facts = draw(st.booleans())
    is_read = draw(st.booleans())
    before, beside = (one, reader) if is_read else (reader, one)
    others = () if is_read else (one,)
    before, beside = draw(_with_circle(before)), draw(_with_circle(beside))
    after, migrate, back = draw(_next_version(before, others, _stages_in(beside), same_facts))
    return Versions(before, after, beside, migrate, back)


def _stages_in(plan: Plan) -> set[str]:
    """The stages of others that its conditions may name."""
    texts = [edge.when.text() for edge in plan.edges if edge.when and "stages." in edge.when.text()]
    return {name for text in texts for name in re.findall(r"'(s\d)'", text)}


@st.composite
def _with_circle(draw: st.DrawFn, plan: Plan) -> Plan:
    """Perhaps with two waits that lead in a circle."""
    if draw(st.integers(0, 2)):
        return plan
    one, other, *_ = plan.orders
    circle = (Edge("out", (one,), other, after=10 * MINUTE_MS), Edge("again", (other,), one, after=30 * MINUTE_MS))
    return replace(plan, edges=plan.edges + circle)


@st.composite
def _next_version(
    draw: st.DrawFn, plan: Plan, others: tuple[Plan, ...], kept: set[str], same_facts: bool
) -> tuple[Plan, dict[str, str], dict[str, str]]:
    """Another version, and where customers of stages that are no more go, there and back."""
    names, migrate, back = draw(_stages_of_next(list(plan.orders), kept))
    facts = plan.facts if same_facts or draw(st.booleans()) else draw(own_facts())
    around = Around(tuple(names), facts, others)
    added = tuple(draw(edges(number, around)) for number in range(20, 20 + draw(st.integers(1, 3))))
    old = _renamed(plan.edges, {**{name: name for name in names}, **migrate}) if facts == plan.facts else ()
    after = replace(
        plan,
        orders={name: draw(st.integers(0, 3)) for name in names},
        edges=added + old if draw(st.booleans()) else old + added,
        lateness=draw(st.sampled_from((plan.lateness, plan.lateness, 5 * MINUTE_MS, 60 * MINUTE_MS))),
        zone=plan.zone if same_facts else draw(st.sampled_from((plan.zone, plan.zone, *ZONES))),
        facts=facts,
    )
    return after, migrate, back


@st.composite
def _stages_of_next(
    draw: st.DrawFn, stages: list[str], kept: set[str]
) -> tuple[list[str], dict[str, str], dict[str, str]]:
    """The stages of the next version: one renamed, one dropped, or all as they were."""
    free = [stage for stage in stages if stage not in kept]
    what = draw(st.sampled_from(("same", "renamed", "renamed", "dropped"))) if free else "same"
    if what == "same" or (what == "dropped" and len(stages) < 3):
        return stages, {}, {}
    lost = draw(st.sampled_from(free))
    if what == "renamed":
        return ["n" if stage == lost else stage for stage in stages], {lost: "n"}, {"n": lost}
    left = [stage for stage in stages if stage != lost]
    return left, {lost: draw(st.sampled_from(left))}, {}


def _renamed(edges: Sequence[Edge], names: Mapping[str, str]) -> tuple[Edge, ...]:
    """The edges between other stages; what would lead from a stage to itself is left out."""
    found = []
    for edge in edges:
        target = names[edge.target]
        sources = tuple(dict.fromkeys(names[source] for source in edge.sources if names[source] != target))
        if sources:
            found.append(replace(edge, sources=sources, target=target))
    return tuple(found)


# The log


@st.composite
def logs(draw: st.DrawFn, chosen: Versions, around: int) -> list[Record]:
    """What a partition holds of two customers: events live, late and imported behind anything, up to three moves by hand,
    one publication or two (there and back), and at the end everybody once more."""
    items = [(draw(st.sampled_from("cccd")), each) for each in draw(mixed(around))]
    for number in range(draw(st.integers(0, 3))):
        move = Happening(f"m{number}", MANUAL_MOVE, 0, 0, False, draw(_moves(chosen)))
        _insert(draw, items, draw(st.sampled_from("cccd")), move)
    for number in range(draw(st.sampled_from((1, 1, 2)))):
        _insert(draw, items, "", Happening(f"p{number}", PUBLISHED_TYPE, 0, 0, False, {"notify": draw(st.booleans())}))
    end = max(each.logged for _, each in items) + END_MS
    items += [
        (customer, Happening(f"end-{customer}", "engagement", end, end, False, {"channel": "visit"}))
        for customer in "cd"
    ]
    # A partition's times of arrival never decrease.
    arrivals = accumulate((each.logged for _, each in items), max)
    published: list[Publication] = []
    return [
        _logged(offset, customer, each._replace(logged=arrival), chosen, published)
        for offset, ((customer, each), arrival) in enumerate(zip(items, arrivals, strict=True))
    ]


@st.composite
def _moves(draw: st.DrawFn, chosen: Versions) -> dict[str, str]:
    plan = draw(st.sampled_from((chosen.before, chosen.after, chosen.beside)))
    expected = draw(st.sampled_from((None, None, *plan.orders)))
    said = {"lifecycle": plan.name, "to": draw(st.sampled_from(tuple(plan.orders))), "by": "ana", "reason": "asked"}
    return said if expected is None else {**said, "expected_stage": expected}


def _insert(draw: st.DrawFn, items: list[tuple[str, Happening]], customer: str, each: Happening) -> None:
    place = draw(st.integers(0, len(items)))
    before = items[max(place - 1, 0)][1].logged
    logged = before + draw(st.sampled_from((0, 1, 3, 8, 60, 1440))) * MINUTE_MS
    items.insert(place, (customer, each._replace(said=logged, logged=logged)))


def _logged(offset: int, customer: str, each: Happening, chosen: Versions, published: list[Publication]) -> Record:
    """The record as the log gives it back."""
    if each.type == PUBLISHED_TYPE:
        version, migrate = ((2, chosen.migrate), (1, chosen.back))[len(published)]
        what = (each.id, chosen.before.name, len(published) + 2, version, "", "", each.logged)
        published.append(Publication(*what, each.data["notify"], migrate))
        return Record(Topic.EVENTS, 0, offset, each.logged, *message(published[-1]))
    mode = BACKFILL if each.backfill else LIVE
    posted = Posted(TENANT, customer, each.id, each.type, each.said, json.dumps(each.data).encode(), mode)
    return Record(Topic.EVENTS, 0, offset, each.logged, record_key(TENANT, customer), encode_posted(posted), ())


@st.composite
def published_lives(draw: st.DrawFn, *, same_facts: bool | None = None) -> tuple[Versions, list[Record]]:
    """Versions and a log."""
    zone, instant = draw(ANCHORS)
    chosen = draw(versions(zone, same_facts=same_facts))
    return chosen, draw(logs(chosen, instant))
