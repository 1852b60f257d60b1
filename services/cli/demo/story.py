"""The story that the demo tells: ten customers of a shop in São Paulo that sells to Brazil, Spain and the world."""

from __future__ import annotations

from typing import Any

from services.cli.demo.plot import Chapter, Customer, Fate, Happening, Move, Story
from shared.contracts.times import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

SUSPENSE_MS = 5 * SECOND_MS
"""How long after the telling begins the two silences end: enough for the import to be in, short enough to watch."""
_LATENESS_MS = 5 * MINUTE_MS
"""What the lifecycles wait for late events before they believe in silence."""
QUIET_AGO_MS = 60 * DAY_MS + _LATENESS_MS - SUSPENSE_MS
OVERDUE_AGO_MS = 48 * HOUR_MS + _LATENESS_MS - SUSPENSE_MS

_SHOP, _CARE = "ecommerce", "customer_care"


def _shop(from_: str | None, to: str, transition: str | None, *, settled: bool = True, live: bool = True) -> Move:
    return Move(_SHOP, from_, to, transition, settled, live)


def _care(from_: str | None, to: str, transition: str | None) -> Move:
    return Move(_CARE, from_, to, transition)


def _signed_up(*, live: bool = True) -> tuple[Move, ...]:
    """What signing up does to a new customer."""
    return (
        Move(_CARE, None, "no_complaint", None, live=live),
        _shop(None, "prospect", None, settled=False, live=live),
        _shop("prospect", "lead", "signed_up", live=live),
    )


_FIRST = _shop("lead", "first_time_customer", "first_purchase")
_SECOND = _shop("first_time_customer", "repeat_customer", "second_purchase")
_COMPLAINED = _care("no_complaint", "complaint_open", "complaint_opened")
_WELCOME = Fate("welcome", "hello", "sent")
_THANKS = Fate("first-purchase-thanks", "thanks", "sent")
_INVITED = Fate("loyalty-invitation", "invitation", "sent")
_HEARD = Fate("complaint-received", "received", "sent")
_MISSED = Fate("win-back", "hello", "sent")
_MISSED_BUT_ANGRY = Fate("win-back", "hello", "suppressed", "open_complaint")
_TOO_OLD = Fate("welcome", "hello", "suppressed", "stale")
_OFFER_WAITS = Fate("win-back", "offer", "waiting")


def _refused(reason: str) -> tuple[Fate, Fate]:
    """Welcome and thanks that were not sent."""
    return (
        Fate("welcome", "hello", "suppressed", reason),
        Fate("first-purchase-thanks", "thanks", "suppressed", reason),
    )


_CUSTOMERS = (
    Customer(
        "ana", "Ana Souza", "signs up and buys; her order is posted twice, and counts once",
        (*_signed_up(), _FIRST), (_WELCOME, _THANKS), {"orders": 1, "revenue": "129.90"},
    ),
    Customer(
        "bruno", "Bruno Lima", "the same without consent to marketing",
        (*_signed_up(), _FIRST), _refused("no_consent"), {"orders": 1},
    ),
    Customer(
        "carmen", "Carmen Ruiz", "buys four times",
        (*_signed_up(), _FIRST, _SECOND, _shop("repeat_customer", "loyal", "became_loyal")),
        (_WELCOME, _THANKS, _INVITED), {"orders": 4, "revenue": "540.00"},
    ),
    Customer(
        "diego", "Diego Herrera", "buys three times and would recommend the shop: 10 of 10",
        (*_signed_up(), _FIRST, _SECOND, _shop("repeat_customer", "loyal", "happy_regular")),
        (_WELCOME, _THANKS, _INVITED), {"orders": 3, "nps": 10},
    ),
    Customer(
        "emma", "Emma Clarke", "buys once and brings a friend",
        (*_signed_up(), _FIRST, _shop("first_time_customer", "advocate", "brought_a_friend")),
        (_WELCOME, _THANKS, Fate("advocate-referral", "referral", "sent")), {"referrals": 1},
    ),
    Customer(
        "felipe", "Felipe Rocha", "has a serious complaint, which is resolved, and buys again",
        (
            *_signed_up(), _FIRST, _SECOND,
            _shop("repeat_customer", "at_risk", "serious_complaint"),
            _shop("at_risk", "won_back", "complaint_settled"),
            _shop("won_back", "repeat_customer", "kept_buying"),
            _COMPLAINED, _care("complaint_open", "resolved", "settled"),
        ),
        (
            _WELCOME, _THANKS, _HEARD, _MISSED_BUT_ANGRY,
            Fate("complaint-resolved", "resolved", "sent"), Fate("win-back", "offer", "cancelled", "left_stage"),
        ),
        {"orders": 3, "complaints": 1, "open_complaints": 0},
    ),
    Customer(
        "grace", "Grace Hill", "has a complaint that stays open, and answers 3 of 10",
        (*_signed_up(), _FIRST, _shop("first_time_customer", "at_risk", "detractor"), _COMPLAINED),
        (_WELCOME, _THANKS, _HEARD, _MISSED_BUT_ANGRY, _OFFER_WAITS), {"open_complaints": 1, "nps": 3},
    ),
    Customer(
        "helena", "Helena Martins", "comes with an imported history; her 60 days of silence end while you watch",
        (
            *_signed_up(live=False),
            _shop("lead", "first_time_customer", "first_purchase", live=False),
            _shop("first_time_customer", "repeat_customer", "second_purchase", live=False),
            _shop("repeat_customer", "at_risk", "went_quiet"),
        ),
        (_MISSED, _OFFER_WAITS), {"orders": 2},
    ),
    Customer(
        "iker", "Iker Vidal", "his sign-up and complaint reach us two days late; 48 hours of waiting end while you watch",
        (*_signed_up(), _COMPLAINED, _care("complaint_open", "overdue", "too_late")),
        (
            _TOO_OLD, _HEARD, Fate("complaint-overdue", "apology", "sent"),
        ),
        {"open_complaints": 1},
    ),
    Customer(
        "joao", "João Pereira", "agrees to e-mail but leaves no address",
        (*_signed_up(), _FIRST), _refused("missing_address"), {"orders": 1},
    ),
)  # fmt: skip


def _sign_up(who: str, locale: str, ago_ms: int, *, consent: bool = True, address: bool = True) -> Happening:
    name = next(customer.name for customer in _CUSTOMERS if customer.id == who)
    zone = {"pt-BR": "America/Sao_Paulo", "es": "Europe/Madrid", "en": "Europe/London"}[locale]
    data: dict[str, Any] = {"name": name, "locale": locale, "time_zone": zone}
    if address:
        data["email"] = f"{who}@customers.example"
    if consent:
        data["consent"] = {"email": True}
    return Happening(who, f"{who}-signup", "signup", ago_ms, data)


def _buys(who: str, order: int, amount: str, ago_ms: int) -> Happening:
    data = {"order_id": f"{who}-{order}", "amount": amount, "currency": "BRL"}
    return Happening(who, f"{who}-order-{order}-paid", "purchase", ago_ms, data)


def _complains(who: str, severity: str, text: str, ago_ms: int) -> Happening:
    data = {"complaint_id": f"{who}-ticket", "severity": severity, "category": "delivery", "text": text}
    return Happening(who, f"{who}-complaint", "complaint", ago_ms, data)


def _answers(who: str, score: int, ago_ms: int) -> Happening:
    return Happening(who, f"{who}-nps", "survey_response", ago_ms, {"kind": "nps", "score": score})


_HISTORY = Chapter(
    "Helena's history is imported: two orders, the last one almost exactly 60 days ago",
    (
        _sign_up("helena", "pt-BR", QUIET_AGO_MS + 90 * DAY_MS),
        _buys("helena", 1, "89.00", QUIET_AGO_MS + 30 * DAY_MS),
        _buys("helena", 2, "149.50", QUIET_AGO_MS),
    ),
    imported=True,
)

_ORDERS = Chapter(
    "Sign-ups and orders; Iker's sign-up reaches us two days late",
    (
        _sign_up("iker", "es", OVERDUE_AGO_MS + HOUR_MS),
        _sign_up("ana", "pt-BR", 9 * HOUR_MS),
        _sign_up("bruno", "pt-BR", 9 * HOUR_MS, consent=False),
        _sign_up("carmen", "es", 9 * HOUR_MS),
        _sign_up("diego", "es", 9 * HOUR_MS),
        _sign_up("emma", "en", 9 * HOUR_MS),
        _sign_up("felipe", "pt-BR", 9 * HOUR_MS),
        _sign_up("grace", "en", 9 * HOUR_MS),
        _sign_up("joao", "pt-BR", 9 * HOUR_MS, address=False),
        _buys("ana", 1, "129.90", 8 * HOUR_MS),
        _buys("bruno", 1, "59.90", 8 * HOUR_MS),
        _buys("carmen", 1, "200.00", 8 * HOUR_MS),
        _buys("diego", 1, "75.00", 8 * HOUR_MS),
        _buys("emma", 1, "310.00", 8 * HOUR_MS),
        _buys("felipe", 1, "42.00", 8 * HOUR_MS),
        _buys("grace", 1, "99.00", 8 * HOUR_MS),
        _buys("joao", 1, "15.00", 8 * HOUR_MS),
        _buys("carmen", 2, "120.00", 7 * HOUR_MS),
        _buys("diego", 2, "80.00", 7 * HOUR_MS),
        _buys("felipe", 2, "64.00", 7 * HOUR_MS),
        _buys("carmen", 3, "110.00", 6 * HOUR_MS),
        _buys("diego", 3, "85.00", 6 * HOUR_MS),
        _buys("carmen", 4, "110.00", 5 * HOUR_MS),
    ),
    # An open complaint holds marketing, so what came before it must be out of the way.
    until=(
        ("iker", _TOO_OLD), ("felipe", _WELCOME), ("felipe", _THANKS), ("grace", _WELCOME), ("grace", _THANKS),
    ),
    repeated=frozenset({"ana-order-1-paid"}),
)  # fmt: skip

_VOICES = Chapter(
    "Complaints, answers to a survey, and a friend brought along",
    (
        _complains("iker", "medium", "El paquete no llega.", OVERDUE_AGO_MS),
        Happening("emma", "emma-referral", "referral", 6 * HOUR_MS, {"code": "EMMA10", "channel": "link"}),
        _answers("diego", 10, 5 * HOUR_MS),
        _complains("felipe", "high", "O produto veio quebrado.", 4 * HOUR_MS),
        _complains("grace", "medium", "The parcel was left in the rain.", 4 * HOUR_MS),
        _answers("grace", 3, 3 * HOUR_MS),
    ),
    # His resolution would lift the hold.
    until=(("felipe", _MISSED_BUT_ANGRY),),
)

_MADE_GOOD = Chapter(
    "Felipe's complaint is resolved, and he buys again",
    (
        Happening(
            "felipe", "felipe-resolved", "complaint_resolved", 2 * HOUR_MS,
            {"complaint_id": "felipe-ticket", "resolution": "replaced", "satisfied": True},
        ),
        _buys("felipe", 3, "58.00", HOUR_MS),
    ),
)  # fmt: skip

STORY = Story(_CUSTOMERS, (_HISTORY, _ORDERS, _VOICES, _MADE_GOOD))
"""The story as it is told by `jornada demo` and `make demo-cluster`."""
