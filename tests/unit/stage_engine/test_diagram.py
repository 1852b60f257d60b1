"""Pictures of a lifecycle: the Mermaid text and that for the terminal, word for word."""

from __future__ import annotations

from textwrap import dedent

import pytest

from services.stage_engine.definitions.definition import parse_definition
from services.stage_engine.definitions.diagram import mermaid, span, terminal, words
from shared.contracts.times import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

CLUB = parse_definition(
    "club.yaml",
    dedent("""\
    lifecycle: club
    labels: {en: The club}
    start: visitor
    facts:
      gap: {average_gap: purchase}
    stages:
      regular: {order: 30, label: {en: Regular}}
      visitor: {order: 10, label: {en: Visitor}}
      member:  {order: 20, label: {en: "Member: \\"new\\""}}
      state:   {order: 5, side: true}
      peer:    {order: 20}
      gone:    {order: 0, side: true, end: true, label: {en: Gone}}
    transitions:
      - {id: joined, from: visitor, to: member, on: [signup, referral]}
      - {id: met, from: member, to: peer, on: 'club:met'}
      - {id: bought, from: [visitor, member], to: regular, on: purchase, when: "event.amount >= 100.0 && facts.orders > 1"}
      - {id: said_so, from: member, to: regular, when: "facts.nps >= 9 || !known.nps && facts.refunds != 0"}
      - {id: quiet, from: [member, regular], to: state, after: {fact: gap, times: 2.5, min: 14d}, demotion: true,
         since: facts.last_purchase_at}
      - {id: slow, from: [member, regular], to: state, after: 48h, when: "facts.orders < 1", demotion: true}
      - {id: told, from: regular, to: gone, on: [subscription_cancelled, complaint, survey_response], demotion: true,
         when: "facts.open_complaints == 0 && facts.complaints >= 3 && facts.revenue < 100.0 && facts.average_order_value < 12.5"}
      - {id: over, from: state, to: gone, after: 60d, since: entered, demotion: true}
    """),
)


def test_mermaid() -> None:
    assert mermaid(CLUB) == dedent("""\
        stateDiagram-v2
            state "Gone" as gone
            state "state" as state_
            state "Visitor" as visitor
            state "Member： 'new'" as member
            state "peer" as peer
            state "Regular" as regular
            [*] --> visitor
            state_ --> gone : ↓ after 60d
            visitor --> member : ↑ signup or referral
            visitor --> regular : ↑ purchase if amount ≥ 100 and<br/>orders over 1
            member --> peer : → club：met
            member --> regular : ↑ purchase if amount ≥ 100 and<br/>orders over 1<br/>↑ nps ≥ 9 or nps unknown and refunds ≠ 0
            member --> state_ : ↓ 2.5 × gap (at least 14d) after<br/>last_purchase_at<br/>↓ after 48h if orders under 1
            regular --> state_ : ↓ 2.5 × gap (at least 14d) after<br/>last_purchase_at<br/>↓ after 48h if orders under 1
            regular --> gone : ↓ subscription_cancelled or 2 others if<br/>open_complaints = 0 and …
            gone --> [*]
            classDef beside stroke-dasharray:5 5
            class gone,state_ beside""")


def test_terminal() -> None:
    assert terminal(CLUB) == dedent("""\
        club · The club, starting at visitor

        gone · Gone (beside the main way)
          nothing leads out of here

        state (beside the main way)
          ↓ gone     over     after 60d

        visitor · Visitor
          ↑ member   joined   signup or referral
          ↑ regular  bought   purchase if amount ≥ 100 and orders over 1

        member · Member: "new"
          → peer     met      club:met
          ↑ regular  bought   purchase if amount ≥ 100 and orders over 1
          ↑ regular  said_so  nps ≥ 9 or nps unknown and refunds ≠ 0
          ↓ state    quiet    2.5 × gap (at least 14d) after last_purchase_at
          ↓ state    slow     after 48h if orders under 1

        peer
          nothing leads out of here

        regular · Regular
          ↓ state    quiet    2.5 × gap (at least 14d) after last_purchase_at
          ↓ state    slow     after 48h if orders under 1
          ↓ gone     told     subscription_cancelled or complaint or survey_response if \
open_complaints = 0 and complaints ≥ 3 and revenue under 100 and average_order_value under 12.5""")


def test_a_lifecycle_of_one_stage_has_pictures_too() -> None:
    alone = parse_definition("alone.yaml", "lifecycle: alone\nstart: here\nstages:\n  here: {order: 1}\n")
    assert mermaid(alone) == 'stateDiagram-v2\n    state "here" as here\n    [*] --> here'
    assert terminal(alone) == "alone, starting at here\n\nhere\n  nothing leads out of here"


def when(condition: str, *, on: str = "purchase", style: str = ">-") -> str:
    text = f"""
lifecycle: l
start: a
stages: {{a: {{order: 1}}, b: {{order: 2}}}}
transitions:
  - id: x
    from: a
    to: b
    on: {on}
    when: {style}
      {condition}
"""
    return words(parse_definition("l.yaml", text).shape.transitions[0])


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("event.channel == 'app >= 2.0 && web'", "purchase if channel = app >= 2.0 && web"),
        ('event.channel in ["app", "web"]', "purchase if channel in [app, web]"),
        ("stages.ecommerce != 'loyal'", "purchase if ecommerce ≠ loyal"),
        ("!(facts.orders>=1)", "purchase if not (orders ≥ 1)"),
        ("known.nps   &&\n      facts.nps<7", "purchase if nps known and nps under 7"),
        ("facts.revenue >= 1500.50", "purchase if revenue ≥ 1500.50"),
    ],
)
def test_conditions_in_words(condition: str, said: str) -> None:
    assert when(condition) == said


def test_comments_are_not_said() -> None:
    condition = """facts.orders >= 2  // not the customer's first
      && event.channel == 'http://app'
      // && known.nps"""
    assert when(condition, style="|") == "purchase if orders ≥ 2 and channel = http://app"


@pytest.mark.parametrize(
    ("milliseconds", "said"),
    [
        (60 * DAY_MS, "60d"),
        (3 * DAY_MS, "3d"),
        (2 * DAY_MS, "48h"),
        (DAY_MS, "24h"),
        (36 * HOUR_MS, "36h"),
        (90 * MINUTE_MS, "90m"),
        (30 * SECOND_MS, "30s"),
    ],
)
def test_spans_are_said_as_people_write_them(milliseconds: int, said: str) -> None:
    assert span(milliseconds) == said
