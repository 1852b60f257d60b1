"""What may go to the log again: the event that was set aside, repaired, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.cli.replaying import StillBroken, replayed
from services.stage_engine.store.dead_letters import DeadLetter
from shared.contracts.cloudevent import record_key
from shared.contracts.dead_letters import DeadLetterReason
from shared.contracts.times import now_ms

EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "order-1",
    "source": "/tenants/shop/customers/c-1",
    "type": "purchase",
    "subject": "c-1",
    "time": "2026-01-22T14:03:11Z",
    "tenant": "shop",
    "data": {"order_id": "1", "amount": "129.90", "currency": "BRL"},
}
BROKEN = {**EVENT, "data": {"order_id": "1", "amount": "129.901", "currency": "BRL"}}


def letter(
    value: bytes | None = None, reason: DeadLetterReason = DeadLetterReason.INVALID_PAYLOAD, key: bytes = b"shop:c-1"
) -> DeadLetter:
    return DeadLetter("3-17", 3, 17, reason, "the detail", "shop", "c-1", key, value, now_ms())


def text(**changed: Any) -> bytes:
    return json.dumps({**EVENT, **changed}).encode()


def test_a_repaired_event_goes_to_its_customers_partition_with_its_bytes() -> None:
    message = replayed(letter(json.dumps(BROKEN).encode()), text(), now_ms(), 12)
    assert (message.key, message.value) == (record_key("shop", "c-1"), text())
    assert ("type", b"purchase") in message.headers


def test_bytes_that_are_still_broken_are_refused_with_the_reason() -> None:
    stored = json.dumps(BROKEN).encode()
    with pytest.raises(StillBroken, match=r"invalid_payload.*129.901"):
        replayed(letter(stored), stored, now_ms(), 12)


@pytest.mark.parametrize("value", [None, b"", b"\xff\x00", b"{", b'{"id": "order-1"}'])
def test_what_is_no_event_is_refused_with_an_example(value: bytes | None) -> None:
    with pytest.raises(StillBroken, match="write one like"):
        replayed(letter(value), value, now_ms(), 12)


def test_unreadable_bytes_may_be_replaced_by_any_good_event() -> None:
    assert replayed(letter(b"\xff", DeadLetterReason.INVALID_JSON), text(), now_ms(), 12).value == text()


@pytest.mark.parametrize("changed", [{"subject": "c-2"}, {"tenant": "other"}])
def test_a_repair_keeps_tenant_and_customer(changed: dict[str, str]) -> None:
    with pytest.raises(StillBroken, match="a repair keeps both"):
        replayed(letter(json.dumps(BROKEN).encode()), text(**changed), now_ms(), 12)


def test_a_repair_keeps_the_id_so_that_nothing_is_applied_twice() -> None:
    with pytest.raises(StillBroken, match="a repair keeps it"):
        replayed(letter(json.dumps(BROKEN).encode()), text(id="order-2"), now_ms(), 12)


def test_an_id_that_is_taken_must_be_changed() -> None:
    conflict = letter(text(), DeadLetterReason.ID_CONFLICT)
    with pytest.raises(StillBroken, match="an id of its own"):
        replayed(conflict, text(), now_ms(), 12)
    assert replayed(conflict, text(id="order-1-b"), now_ms(), 12).value == text(id="order-1-b")


def test_an_import_behind_the_clock_stays_behind_it_unless_it_goes_live() -> None:
    behind = letter(text(mode="backfill"), DeadLetterReason.BEHIND_CLOCK)
    with pytest.raises(StillBroken, match="post it live"):
        replayed(behind, text(mode="backfill"), now_ms(), 12)
    assert replayed(behind, text(), now_ms(), 12).value == text()


def test_a_record_under_a_wrong_key_is_replayed_under_the_right_one() -> None:
    misplaced = letter(text(), DeadLetterReason.KEY_MISMATCH, key=b"someone")
    assert replayed(misplaced, text(), now_ms(), 12).key == b"shop:c-1"
