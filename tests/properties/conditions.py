"""Conditions as small trees, from which both the CEL text and the oracle's own verdict are made.

Verdicts are True, False and None, which is unknown; `and`, `or` and `not` over them are Kleene's.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Verdict = bool | None
Facts = Mapping[str, Any]
"""Values by name as they are kept: money in minor units, times and durations in milliseconds; a stage as
`stages.<lifecycle>`."""

_OPERATORS = {">=": operator.ge, "<": operator.lt, "==": operator.eq, "!=": operator.ne}
MONEY = frozenset({"revenue", "average_order_value"})


class Condition(Protocol):
    """What both sides can be asked."""

    def text(self) -> str:
        """CEL."""

    def reads(self) -> frozenset[str]:
        """Facts that it names, and stages as `stages.<lifecycle>`."""

    def verdict(self, facts: Facts, data: Mapping[str, Any]) -> Verdict:
        """What it says; money is compared in minor units."""


@dataclass(frozen=True)
class Compares:
    """`facts.orders >= 2`; the constant of a sum of money is in whole major units."""

    fact: str
    op: str
    constant: int

    def text(self) -> str:
        return f"facts.{self.fact} {self.op} {self.constant}{'.0' if self.fact in MONEY else ''}"

    def reads(self) -> frozenset[str]:
        return frozenset({self.fact})

    def verdict(self, facts: Facts, data: Mapping[str, Any]) -> Verdict:
        if self.fact not in facts:
            return None
        scale = 100 if self.fact in MONEY else 1
        return bool(_OPERATORS[self.op](facts[self.fact], self.constant * scale))


@dataclass(frozen=True)
class Measures:
    """`facts.f0 >= 2`: a fact of the lifecycle's own against a constant, which is `written` as its type asks."""

    fact: str
    op: str
    constant: float | str
    written: str

    def text(self) -> str:
        return f"facts.{self.fact} {self.op} {self.written}"

    def reads(self) -> frozenset[str]:
        return frozenset({self.fact})

    def verdict(self, facts: Facts, data: Mapping[str, Any]) -> Verdict:
        return bool(_OPERATORS[self.op](facts[self.fact], self.constant)) if self.fact in facts else None


@dataclass(frozen=True)
class Stands:
    """`stages.m == 's1'`, or one of several: where the customer is in another lifecycle."""

    lifecycle: str
    stages: tuple[str, ...]

    def text(self) -> str:
        named = [f"'{stage}'" for stage in self.stages]
        return f"stages.{self.lifecycle} " + (f"== {named[0]}" if len(named) == 1 else f"in [{', '.join(named)}]")

    def reads(self) -> frozenset[str]:
        return frozenset({f"stages.{self.lifecycle}"})

    def verdict(self, facts: Facts, data: Mapping[str, Any]) -> Verdict:
        stage: str = facts[f"stages.{self.lifecycle}"]
        return stage in self.stages


@dataclass(frozen=True)
class Known:
    """`known.nps`"""

    fact: str

    def text(self) -> str:
        return f"known.{self.fact}"

    def reads(self) -> frozenset[str]:
        return frozenset({self.fact})

    def verdict(self, facts: Facts, data: Mapping[str, Any]) -> Verdict:
        return self.fact in facts


@dataclass(frozen=True)
class After:
    """`facts.last_seen > facts.last_purchase_at`: one time later than another."""

    later: str
    earlier: str

    def text(self) -> str:
        return f"facts.{self.later} > facts.{self.earlier}"

    def reads(self) -> frozenset[str]:
        return frozenset({self.later, self.earlier})

    def verdict(self, facts: Facts, data: Mapping[str, Any]) -> Verdict:
        if self.later not in facts or self.earlier not in facts:
            return None
        return bool(facts[self.later] > facts[self.earlier])


@dataclass(frozen=True)
class Divides:
    """`12 / facts.orders >= 4`: can't be computed while there is no order, which is no better than unknown."""

    fact: str
    constant: int

    def text(self) -> str:
        return f"12 / facts.{self.fact} >= {self.constant}"

    def reads(self) -> frozenset[str]:
        return frozenset({self.fact})

    def verdict(self, facts: Facts, data: Mapping[str, Any]) -> Verdict:
        return 12 // facts[self.fact] >= self.constant if facts.get(self.fact) else None


@dataclass(frozen=True)
class Field:
    """`event.points >= 3`, `event.channel == 'ad'`"""

    name: str
    op: str
    constant: int | str

    def text(self) -> str:
        return f"event.{self.name} {self.op} {self.constant!r}"

    def reads(self) -> frozenset[str]:
        return frozenset()

    def verdict(self, facts: Facts, data: Mapping[str, Any]) -> Verdict:
        return bool(_OPERATORS[self.op](data[self.name], self.constant)) if self.name in data else None


@dataclass(frozen=True)
class Not:
    """`!(…)`"""

    part: Condition

    def text(self) -> str:
        return f"!({self.part.text()})"

    def reads(self) -> frozenset[str]:
        return self.part.reads()

    def verdict(self, facts: Facts, data: Mapping[str, Any]) -> Verdict:
        said = self.part.verdict(facts, data)
        return None if said is None else not said


@dataclass(frozen=True)
class Both:
    """`… && …`"""

    one: Condition
    other: Condition

    def text(self) -> str:
        return f"({self.one.text()}) && ({self.other.text()})"

    def reads(self) -> frozenset[str]:
        return self.one.reads() | self.other.reads()

    def verdict(self, facts: Facts, data: Mapping[str, Any]) -> Verdict:
        said = {self.one.verdict(facts, data), self.other.verdict(facts, data)}
        return False if False in said else None if None in said else True


@dataclass(frozen=True)
class Either:
    """`… || …`"""

    one: Condition
    other: Condition

    def text(self) -> str:
        return f"({self.one.text()}) || ({self.other.text()})"

    def reads(self) -> frozenset[str]:
        return self.one.reads() | self.other.reads()

    def verdict(self, facts: Facts, data: Mapping[str, Any]) -> Verdict:
        said = {self.one.verdict(facts, data), self.other.verdict(facts, data)}
        return True if True in said else None if None in said else False
