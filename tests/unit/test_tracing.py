"""W3C Trace Context: read strictly, continued in the same trace."""

from __future__ import annotations

import pytest

from shared.telemetry.tracing import Trace, child, continued, new_trace, parse

_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
_SPAN = "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (f"00-{_TRACE}-{_SPAN}-01", True),
        (f"00-{_TRACE}-{_SPAN}-00", False),
        (f"00-{_TRACE}-{_SPAN}-03", True),
        (f"cc-{_TRACE}-{_SPAN}-01", True),
        (f"cc-{_TRACE}-{_SPAN}-01-what-the-future-brings", True),
    ],
)
def test_valid_header_is_read(header: str, sampled: bool) -> None:
    assert parse(header) == Trace(_TRACE, _SPAN, sampled)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        f"00-{_TRACE}-{_SPAN}",
        f"00-{_TRACE}-{_SPAN}-01-more",
        f"00-{_TRACE}-{_SPAN}-01\n",
        f"00-{_TRACE.upper()}-{_SPAN}-01",
        f"00-{'0' * 32}-{_SPAN}-01",
        f"00-{_TRACE}-{'0' * 16}-01",
        f"ff-{_TRACE}-{_SPAN}-01",
        f"00-{_TRACE[:-1]}-{_SPAN}-01",
        f"cc-{_TRACE}-{_SPAN}-01more",
    ],
)
def test_invalid_header_is_ignored(header: str | None) -> None:
    assert parse(header) is None


def test_text_is_what_was_read() -> None:
    header = f"00-{_TRACE}-{_SPAN}-01"
    parsed = parse(header)
    assert parsed is not None
    assert parsed.text() == header


def test_child_stays_in_the_trace_with_a_span_of_its_own() -> None:
    parent = Trace(_TRACE, _SPAN, sampled=False)
    made = child(parent)
    assert (made.trace_id, made.sampled) == (_TRACE, False)
    assert made.span_id != _SPAN


def test_invalid_header_starts_a_new_valid_trace() -> None:
    started = continued("nonsense")
    assert parse(started.text()) == started
    assert continued("nonsense").trace_id != started.trace_id


def test_valid_header_is_continued() -> None:
    assert continued(f"00-{_TRACE}-{_SPAN}-01").trace_id == _TRACE


def test_new_traces_differ() -> None:
    assert len({new_trace() for _ in range(100)}) == 100
