"""The topics as the cluster's demo shows them: what matters of a record is there, whatever the width."""

from __future__ import annotations

import io
from dataclasses import dataclass

import pytest
from rich.console import Console

from deploy.cluster.topics_shown import _seen, _show
from shared.contracts.cloudevent import Headers, Produced, encode_produced, headers
from shared.contracts.stage_changed import (
    STAGE_CHANGED_TYPE,
    STAGE_ENGINE_SOURCE,
    CustomerSnapshot,
    StageChanged,
    TimerCause,
)


@dataclass
class Fetched:
    """A record as the client gives it."""

    value: bytes
    headers: Headers
    key: bytes = b"demo:valentina"
    partition: int = 11
    offset: int = 1_234
    timestamp: int = 0


def stage_change() -> Fetched:
    """A stage change between the stages with the longest names."""
    data = StageChanged(
        customer_id="valentina",
        lifecycle="customer_care",
        lifecycle_version=12,
        from_="first_time_customer",
        to="repeat_customer",
        direction="up",
        entry=1,
        sequence=17,
        revision=54,
        settled=True,
        late=False,
        transition="second_purchase",
        cause=TimerCause("2026-11-22T14:03:11.000Z"),
        facts={},
        previous_stage_entered_at=None,
        mode="live",
        customer=CustomerSnapshot(),
    )
    made = Produced("id", STAGE_ENGINE_SOURCE, STAGE_CHANGED_TYPE, "demo", "valentina", 0, data)
    return Fetched(encode_produced(made), headers(STAGE_CHANGED_TYPE, None))


@pytest.mark.parametrize("width", [100, 140, 200])
def test_a_stage_change_says_from_where_to_where(width: int) -> None:
    out = Console(file=io.StringIO(), width=width)
    _show(out, "jornada.stage-changed.v1", [_seen(stage_change())])
    assert isinstance(out.file, io.StringIO)
    lines = [line.split("│") for line in out.file.getvalue().splitlines() if "│" in line]
    assert [cell.strip() for cell in lines[0][1:5]] == ["11", "1234", "demo:valentina", "customer.stage_changed"]
    excerpt = "".join(cells[5].strip() for cells in lines)
    assert '"from":"first_time_customer","to":"repeat_customer"' in excerpt


def test_a_record_that_is_no_event_of_ours_is_shown_from_its_start() -> None:
    assert _seen(Fetched(b"not json", ())).excerpt == "not json"


def test_what_was_sent_again_is_counted() -> None:
    out = Console(file=io.StringIO(), width=100)
    poison = [_seen(Fetched(value, ())) for value in (b"not json", b"[1]", b"{}")]
    _show(out, "jornada.stage-changed.v1", [_seen(stage_change()), _seen(stage_change()), *poison])
    assert isinstance(out.file, io.StringIO)
    assert "5 records, 1 of them sent again" in out.file.getvalue()
