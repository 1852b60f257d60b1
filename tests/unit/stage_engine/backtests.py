"""Backtests without a database: customers as lists of events, by the hour of São Paulo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from services.stage_engine.backtesting.backtest import Past, compare
from services.stage_engine.backtesting.beginnings import Base
from services.stage_engine.backtesting.findings import Findings, begin
from services.stage_engine.backtesting.periods import Asked, Every, Span, span
from services.stage_engine.definitions.definition import parse_definition
from services.stage_engine.domain.event import Event, Lived, Origin
from services.stage_engine.planning.candidate import Candidate
from services.stage_engine.rulebook import RuleBook
from services.stage_engine.store.customers import CustomerKey
from shared.auth.tenants import Tenants
from shared.contracts.times import to_ms

SAO_PAULO = ZoneInfo("America/Sao_Paulo")

CLUB = """
lifecycle: club
start: guest
time_zone: America/Sao_Paulo
stages: {guest: {order: 10}, member: {order: 20}, gold: {order: 30}}
transitions:
  - {id: joined, from: guest, to: member, on: purchase}
  - {id: spends, from: member, to: gold, when: "facts.orders >= 3"}
  - {id: quiet, from: [member, gold], to: guest, after: 36h, since: facts.last_purchase_at, demotion: true}
"""
EASIER = CLUB.replace("facts.orders >= 3", "facts.orders >= 2")


class _InReais(Tenants):
    """Every tenant counts in BRL."""

    def __init__(self) -> None:
        pass

    async def currency(self, tenant: str) -> str:
        return "BRL"


def at(local: str) -> int:
    """A local time such as `2026-03-02 10:00`, in milliseconds."""
    return to_ms(datetime.fromisoformat(local).replace(tzinfo=SAO_PAULO))


def over(from_: str, to: str, every: Every | None = Every.DAY, zone: ZoneInfo = SAO_PAULO) -> Span:
    """What is looked at, long after it."""
    return span(Asked(from_, to, every), zone, at("2030-01-01 00:00"))


def trying(
    tried: str, active: str | None = None, beside: Sequence[str] = (), migrate: Mapping[str, str] | None = None
) -> Candidate:
    """A text as the next version, or the first of a lifecycle that is new; the others have one version."""
    texts = [*([active] if active else []), *beside]
    others = [parse_definition("active.yaml", text) for text in texts]
    definition = parse_definition("tried.yaml", tried)
    rulebook = RuleBook({(each.name, 1): each for each in others}, _InReais(), "BRL")
    versions = {each.name: 1 for each in others}
    version = 2 if active else 1
    rulebook.take(definition, version)
    return Candidate(definition, version, versions, {**versions, definition.name: version}, migrate or {}, rulebook)


def event(local: str, type_: str, arrives: str | None = None, **data: Any) -> Event:
    """A live event, which arrives when it happens unless told otherwise."""
    origin = Origin("t", "c", f"{type_}-{local}", type_)
    return Event.taken(origin, at(local), at(arrives or local), backfill=False, data=data)


def purchase(local: str, arrives: str | None = None) -> Event:
    """A live purchase."""
    return event(local, "purchase", arrives, order_id=local, amount="10.00", currency="BRL")


def past(*events: Event, customer: str = "ana", base: Base | None = None) -> Past:
    """A customer's history, in the order in which the events arrived."""
    lived = [Lived(place, each) for place, each in enumerate(events)]
    return Past(CustomerKey("t", customer), lived, base)


def found(candidate: Candidate, looked_at: Span, *pasts: Past) -> Findings:
    """What comes of these customers."""
    findings = begin(candidate, looked_at)
    for each in pasts:
        compare(candidate, findings, each)
    findings.complete = True
    return findings
