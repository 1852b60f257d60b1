"""Laws of importing: whatever the order of the rows, each customer's events are posted in the order of their times."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from hypothesis import example, given
from hypothesis import strategies as st

from services.cli.importing.mapping import parse_mapping
from services.cli.importing.ordering import BEGINNING, Queued, Spool
from services.cli.importing.reading import Text
from services.cli.importing.running import Asked, read_all
from services.ingest.domain.intake import MAX_ITEMS
from shared.contracts.times import parse_text
from shared.http.body import MAX_BODY_BYTES

NOW_MS = parse_text("2026-11-22T14:10:00Z")
MAPPING = parse_mapping(
    "m.yaml",
    "events:\n"
    "  - {type: visit, customer_id: who, time: {column: when, format: epoch_seconds}, data: {note: note}}\n"
    "  - {type: thanks, where: {note: {filled: true}}, customer_id: who, time: {column: when, format: epoch_seconds}}\n",
)

Row = tuple[str, int, str]
"""Who, when (seconds), note."""
_rows = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 60), st.sampled_from(["", "short", "long"])), max_size=40
)
_WRITTEN = {"": "", "short": "short", "long": "long" * 25_000}


def spooled(rows: list[Row], spool: Spool) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        path.write_text("who,when,note\n" + "".join(f"{who},{when},{_WRITTEN[note]}\n" for who, when, note in rows))
        read_all(Asked(path, MAPPING, Text(), NOW_MS), spool, lambda _: None)


def posted(rows: list[Row]) -> list[list[Queued]]:
    with Spool() as spool:
        spooled(rows, spool)
        assert list(spool.problems()) == []
        return list(spool.batches(BEGINNING))


def content(event: Queued) -> tuple[str, int, str, str]:
    """Who, when, type, and the beginning of the note."""
    body = json.loads(event.body)
    return body["customer_id"], parse_text(body["time"]) // 1000, body["type"], body["data"].get("note", "")[:5]


def events_of(rows: list[Row]) -> list[tuple[str, int, str, str]]:
    """What rows give, in the order of time and then of rows; what comes again counts once."""
    return list(
        dict.fromkeys(
            event
            for who, when, note in sorted(rows, key=lambda row: row[1])
            for event in ((who, when, "visit", _WRITTEN[note][:5]), *([(who, when, "thanks", "")] if note else []))
        )
    )


@given(_rows, st.randoms(use_true_random=False))
def test_any_order_of_the_rows_gives_each_customer_the_same_order_of_times(rows: list[Row], chance: Random) -> None:
    """Where times are equal, that of the file: a permutation may change it there and nowhere else."""
    mixed = list(rows)
    chance.shuffle(mixed)
    for who in "abc":
        once, again = (
            [event for batch in posted(one) for event in map(content, batch) if event[0] == who]
            for one in (rows, mixed)
        )
        assert [each[1] for each in once] == [each[1] for each in again] == sorted(each[1] for each in once)
        assert sorted(once) == sorted(again)


@given(_rows)
def test_equal_times_keep_the_order_of_the_file_and_repeated_rows_count_once(rows: list[Row]) -> None:
    found, expected = [content(each) for batch in posted(rows) for each in batch], events_of(rows)
    assert len(found) == len(expected)
    for who in "abc":
        assert [each for each in found if each[0] == who] == [each for each in expected if each[0] == who]


@given(_rows)
def test_customers_come_one_after_the_other(rows: list[Row]) -> None:
    """An engine waits for the end of a customer's import before it lets their timers go off: it must not be drawn out."""
    found = [content(each)[0] for batch in posted(rows) for each in batch]
    assert len([who for who, _ in groupby(found)]) == len(set(found))


@given(_rows, st.integers(0, 80))
def test_going_on_behind_any_place_posts_exactly_the_rest(rows: list[Row], done: int) -> None:
    with Spool() as spool:
        spooled(rows, spool)
        whole = [each for batch in spool.batches(BEGINNING) for each in batch]
        place = whole[min(done, len(whole)) - 1].place if whole and done else BEGINNING
        rest = [each for batch in spool.batches(place) for each in batch]
        assert rest == (whole[min(done, len(whole)) :] if done else whole)
        assert spool.left(place) == len(rest)


@example([("a", second, "long") for second in range(12)])
@given(_rows)
def test_a_request_is_never_larger_than_ingest_takes(rows: list[Row]) -> None:
    for batch in posted(rows):
        assert 0 < len(batch) <= MAX_ITEMS
        assert len(b"[" + b",".join(each.body for each in batch) + b"]") <= MAX_BODY_BYTES
