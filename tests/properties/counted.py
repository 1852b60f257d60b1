"""The built-in facts, counted anew from the whole history each time. The currency is BRL."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from tests.properties.records import Record


def facts_of(history: Sequence[Record]) -> dict[str, int]:
    """All built-in facts, from the whole history in the order in which it was applied."""
    by_time = sorted(history, key=lambda record: record.happened)

    def times(*types: str) -> list[int]:
        return [record.happened for record in by_time if not types or record.type in types]

    def amounts(type_: str) -> list[int]:
        priced = (record.data for record in history if record.type == type_)
        return [int(Decimal(data["amount"]) * 100) for data in priced if data["currency"] == "BRL"]

    bought = amounts("purchase")
    facts = {
        "orders": len(times("purchase")),
        "revenue": sum(bought) - sum(amounts("purchase_refunded")),
        "refunds": len(times("purchase_refunded")),
        "complaints": len(times("complaint")),
        "open_complaints": len(_complaint_ids(history, "complaint") - _complaint_ids(history, "complaint_resolved")),
        "referrals": len(times("referral")),
        "engagements": len(times("engagement")),
    }
    first_and_last = {
        "signed_up_at": times("signup")[:1],
        "first_seen": times()[:1],
        "last_seen": times()[-1:],
        "first_purchase_at": times("purchase")[:1],
        "last_purchase_at": times("purchase")[-1:],
        "last_engagement_at": times("engagement")[-1:],
        "average_order_value": [_nearest(sum(bought), len(bought))] if bought else [],
    }
    for kind in ("nps", "csat", "ces"):
        answers = [r.data["score"] for r in by_time if r.type == "survey_response" and r.data["kind"] == kind]
        first_and_last[kind] = answers[-1:]
    return facts | {name: values[0] for name, values in first_and_last.items() if values}


def _complaint_ids(history: Sequence[Record], type_: str) -> set[str]:
    return {record.data["complaint_id"] for record in history if record.type == type_}


def _nearest(total: int, count: int) -> int:
    """Rounded to the minor unit; the histories avoid ties."""
    return round(Decimal(total) / count)
