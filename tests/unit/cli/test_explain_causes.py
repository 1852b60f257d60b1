"""`jornada explain`: the last change in words, whatever its cause."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from services.cli.lifecycles.explaining import show

EVENT = {"kind": "event", "id": "o[b]", "type": "purchase", "time": "2026-11-22T14:03:11.000Z"}
HAND = {"kind": "manual", "by": "Eva [/x]", "reason": "won a [prize]", "move_id": "m[1]"}


def _said(**last: Any) -> str:
    """What is said of a last change, on one line."""
    change = {"from": "guest", "transition": None, "facts": {}, **last}
    club = {
        **{"version": 1, "stage": "gold", "since": "2026-11-22T14:03:11.000Z", "entry": 1, "facts": {}},
        **{"ways_out": [], "by_time_alone": None, "last_change": change},
    }
    found = {"customer_id": "c", "at": "2026-11-22T15:00:00.000Z", "facts": {}, "lifecycles": {"club": club}}
    out = StringIO()
    show(Console(file=out, width=200), found)
    return next(line for line in out.getvalue().splitlines() if line.startswith("├── ")).removeprefix("├── ")


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (
            {"cause": EVENT, "transition": "joined", "facts": {"orders": 1}},
            "came from guest by joined: purchase o[b] of 2026-11-22 14:03:11 UTC (orders was 1)",
        ),
        ({"cause": EVENT, "from": None}, "began here: purchase o[b] of 2026-11-22 14:03:11 UTC"),
        (
            {"cause": HAND},
            'came from guest: moved by hand by Eva [/x], with the reason "won a [prize]" (move m[1])',
        ),
        (
            {"cause": HAND, "transition": "pays", "facts": {"orders": 1}},
            "came from guest by pays: moved by hand by Eva [/x], "
            'with the reason "won a [prize]" (move m[1]) (orders was 1)',
        ),
        ({"cause": {"kind": "published", "publish_id": "p", "version": 2}}, "came from guest: version 2 was published"),
        (
            {"cause": {"kind": "recomputed", "imported_until": "2026-11-22T14:03:11.000Z"}},
            "came from guest: an import until 2026-11-22 14:03:11 UTC reached behind it, and history was lived again",
        ),
    ],
)
def test_the_last_change_is_told_in_words(last: dict[str, Any], said: str) -> None:
    assert _said(**last) == said
