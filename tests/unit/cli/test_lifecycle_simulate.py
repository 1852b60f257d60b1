"""`jornada lifecycle simulate`: a story in, every decision out; and every line that is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli.main import app

Run = Callable[..., Any]

LIFECYCLE = """\
lifecycle: mine
start: a
facts:
  gifts: {count: gift}
stages:
  a: {order: 10}
  b: {order: 20}
  c: {order: 30}
transitions:
  - {id: bought, from: [a, c], to: b, on: purchase, demotion: true}
  - {id: generous, from: a, to: c, when: "facts.gifts >= 2"}
  - {id: odd, from: b, to: c, on: gift, when: "10 / facts.referrals > 1"}
  - {id: quiet, from: b, to: a, after: 30d, since: facts.last_purchase_at, demotion: true}
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `jornada lifecycle simulate …` in a fresh folder with a lifecycle in it."""
    monkeypatch.chdir(tmp_path)
    Path("my.yaml").write_text(LIFECYCLE)
    runner = CliRunner()

    def simulate(*words: str, file: str = "my.yaml") -> Any:
        every = ["lifecycle", "simulate", file, "--events", "story.jsonl", *words]
        return runner.invoke(app, every, catch_exceptions=False)

    return simulate


def event(identity: str, type_: str, time: str, customer: str = "ana", **more: Any) -> dict[str, Any]:
    """An event; a purchase has a payload."""
    data = {"order_id": identity, "amount": "10.00", "currency": "BRL"} if type_ == "purchase" else {}
    return {"id": identity, "type": type_, "customer_id": customer, "time": f"{time}T10:00:00Z", "data": data} | more


def story(*lines: dict[str, Any] | str) -> None:
    text = "\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines)
    Path("story.jsonl").write_text(text + "\n")


def told(result: Any) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def moves(customer: dict[str, Any]) -> list[str]:
    """A customer's stage changes on one line each."""
    return [
        f"{change['effective_at'][:10]} {change['from'] or '-'}>{change['to']} {change['transition'] or '-'} "
        f"{change['cause']['kind']}{' late' if change['late'] else ''}"
        for step in customer["steps"]
        for change in step["stage_changes"]
    ]


# What is told


def test_programs_get_every_step_as_the_api_would_tell_it(run: Run) -> None:
    story(event("g1", "gift", "2026-01-01"), event("o1", "purchase", "2026-01-02"))
    (ana,) = told(run("--format", "json", "--until", "40d"))
    assert [next(iter(step)) for step in ana["steps"]] == ["event", "event", "time_goes_by_until"]
    assert ana["steps"][1] == {
        "event": {"id": "o1", "type": "purchase", "time": "2026-01-02T10:00:00.000Z"},
        "refused": None,
        "stage_changes": [
            {
                "effective_at": "2026-01-02T10:00:00.000Z",
                "customer_id": "ana",
                "lifecycle": "mine",
                "lifecycle_version": 1,
                "from": "a",
                "to": "b",
                "direction": "up",
                "entry": 1,
                "sequence": 2,
                "revision": 2,
                "settled": True,
                "late": False,
                "transition": "bought",
                "cause": {"kind": "event", "id": "o1", "type": "purchase", "time": "2026-01-02T10:00:00.000Z"},
                "facts": {},
                "previous_stage_entered_at": "2026-01-01T10:00:00.000Z",
                "mode": "live",
            }
        ],
        "errors": [],
    }
    assert ana["steps"][2]["time_goes_by_until"] == "2026-02-11T10:00:00.000Z"
    assert moves(ana)[2] == "2026-02-01 b>a quiet timer"
    assert ana["lifecycles"] == {
        "mine": {"stage": "a", "since": "2026-02-01T10:00:00.000Z", "entry": 2, "facts": {"gifts": 1}}
    }
    assert (ana["facts"]["orders"], ana["facts"]["revenue"]) == (1, "10.00")


def test_people_get_a_table_with_what_happened_when_and_why(run: Run) -> None:
    story(
        event("o1", "purchase", "2026-01-02"), event("g1", "gift", "2026-01-03"), event("o2", "purchase", "2026-03-05")
    )
    lines = [" ".join(line.split()) for line in run().stdout.splitlines()]
    assert lines[0].startswith("ana ──")
    assert lines[1:] == [
        "when what lifecycle move transition because",
        "2026-01-02 10:00:00 UTC purchase mine enters a start",
        "mine a → b bought",
        "2026-01-03 10:00:00 UTC gift stays",
        "mine INVALID_ARGUMENT: divide by zero odd 10 / facts.referrals > 1",
        "2026-02-01 10:00:00 UTC time goes by mine b → a quiet last_purchase_at is 2026-01-02 10:00:00",
        "UTC",
        "2026-03-05 10:00:00 UTC purchase mine a → b bought",
        "ends in mine: b since 2026-03-05 10:00:00 UTC gifts is 1",
    ]


def test_what_time_brought_before_an_event_is_told_before_it(run: Run) -> None:
    story(event("o1", "purchase", "2026-01-02"), event("o2", "purchase", "2026-03-05"))
    said = run().stdout
    assert said.index("time goes by") < said.index("2026-03-05")
    (ana,) = told(run("--format", "json"))
    assert moves(ana) == [
        "2026-01-02 ->a - event",
        "2026-01-02 a>b bought event",
        "2026-02-01 b>a quiet timer",
        "2026-03-05 a>b bought event",
    ]


def test_a_line_from_before_an_earlier_one_comes_late(run: Run) -> None:
    story(
        event("o1", "purchase", "2026-01-10"), event("g1", "gift", "2026-01-05"), event("o2", "purchase", "2026-01-04")
    )
    (ana,) = told(run("--format", "json", "--until", "1d"))
    assert moves(ana) == ["2026-01-10 ->a - event", "2026-01-10 a>b bought event"]
    assert ana["facts"]["first_purchase_at"] == "2026-01-04T10:00:00.000Z"
    assert "gift (late)" in run().stdout


def test_a_late_change_says_so(run: Run) -> None:
    story(event("v1", "visit", "2026-01-10"), event("o1", "purchase", "2026-01-05"))
    assert moves(told(run("--format", "json"))[0]) == ["2026-01-10 ->a - event", "2026-01-10 a>b bought event late"]


def test_customers_are_independent_in_whatever_order_the_file_tells_of_them(run: Run) -> None:
    ana = [event("o1", "purchase", "2026-01-02"), event("g1", "gift", "2026-06-01")]
    eva = [event("o1", "purchase", "2026-01-05", "eva"), event("o2", "purchase", "2026-01-20", "eva")]
    story(*ana, *eva)
    one_after_the_other = told(run("--format", "json"))
    story(ana[0], *eva, ana[1])
    assert told(run("--format", "json")) == one_after_the_other
    assert [each["customer_id"] for each in one_after_the_other] == ["ana", "eva"]
    assert moves(one_after_the_other[1]) == [
        "2026-01-05 ->a - event",
        "2026-01-05 a>b bought event",
        "2026-02-19 b>a quiet timer",
    ], "the story goes on until June for everybody; nobody is inactive before their own next line"


def test_an_imported_line_behind_what_was_decided_is_refused_and_the_rest_goes_on(run: Run) -> None:
    story(
        event("o1", "purchase", "2026-01-10"),
        event("o2", "purchase", "2026-01-05", mode="backfill"),
        event("o3", "purchase", "2026-01-11"),
    )
    (ana,) = told(run("--format", "json"))
    assert [step["refused"] is None for step in ana["steps"]] == [True, False, True]
    assert "put an import's lines in order of time" in ana["steps"][1]["refused"]
    assert ana["facts"]["orders"] == 2
    assert "refused: an imported event" in run().stdout


def test_a_condition_that_can_not_be_computed_is_told(run: Run) -> None:
    story(event("o1", "purchase", "2026-01-02"), event("g1", "gift", "2026-01-03"))
    (error,) = told(run("--format", "json"))[0]["steps"][1]["errors"]
    assert (error["lifecycle"], error["transition"]) == ("mine", "odd")
    assert "divide by zero" in error["detail"]


def test_names_with_brackets_are_no_markup(run: Run) -> None:
    story(event("o1", "purchase", "2026-01-02", "c[/b]"))
    result = run()
    assert result.exit_code == 0
    assert "c[/b] ──" in result.stdout


def test_a_type_that_nothing_reads_is_noted_once_beside_the_answer(run: Run) -> None:
    story(*(event(f"o{day}", "purchse", f"2026-01-0{day}") for day in (1, 2)), event("g", "gift", "2026-01-03"))
    result = run("--format", "json")
    assert result.stderr.count("note") == 1
    assert 'nothing here reads events of the type `purchse`; did you mean "purchase"?' in result.stderr
    assert len(told(result)[0]["steps"]) == 3


# How long


@pytest.mark.parametrize(
    ("until", "end"),
    [("90d", "2026-04-02T10:00:00.000Z"), ("2w", "2026-01-16T10:00:00.000Z"), ("2026-12-31T00:00:00-03:00", "2026-12-31T03:00:00.000Z")],  # noqa: E501
)  # fmt: skip
def test_time_goes_by_until_then(run: Run, until: str, end: str) -> None:
    story(event("o1", "purchase", "2026-01-02"))
    assert told(run("--format", "json", "--until", until))[0]["steps"][-1]["time_goes_by_until"] == end


@pytest.mark.parametrize(
    ("until", "said"),
    [
        ("90 days", "'90 days' is no duration"),
        ("2026-12-31", "write it like 2026-11-22T14:03:11Z; or write how long after the last event, such as 90d"),
        ("soon", "'soon' is no RFC 3339 time"),
        ("", "such as 90d"),
        ("2026-01-01T00:00:00Z", "is before the story's last event, which is of 2026-01-02T10:00:00.000Z"),
    ],
)
def test_an_end_that_is_none_is_refused(run: Run, until: str, said: str) -> None:
    story(event("o1", "purchase", "2026-01-02"))
    result = run("--until", until)
    assert result.exit_code == 1
    assert "--until: " in result.output
    assert said in result.output


# What is wrong with a story


def test_every_bad_line_is_told_with_its_number_and_advice(run: Run) -> None:
    story(
        event("o1", "purchase", "2026-01-02"),
        "",
        "{",
        "[]",
        {**event("o2", "purchase", "2026-01-02"), "data": {"order_id": "2", "amount": "1.001", "currency": "BRL"}},
        {"type": "signup", "customer_id": "ana", "data": {}},
        {"type": "purchase", "customer_id": "ana", "time": "2026-01-02T10:00:00Z", "data": {}},
        event("o1", "gift", "2026-01-03"),
        event("o1", "purchase", "2026-01-03", "eva"),
    )
    result = run()
    assert result.exit_code == 1
    lines = result.output.removeprefix("error: ").splitlines()
    assert [line.split(":")[1] for line in lines] == ["3", "4", "5", "6", "7", "8"]
    for line, part in zip(
        lines, ("JSON", "one JSON object a line", "/data/amount", "/time", "/id", "line 1 has `o1`"), strict=True
    ):
        assert part in line


def test_windows_line_ends_and_a_byte_order_mark_do_no_harm(run: Run) -> None:
    lines = [json.dumps(event("o1", "purchase", "2026-01-02")), json.dumps(event("g1", "gift", "2026-01-03"))]
    Path("story.jsonl").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    assert len(told(run("--format", "json"))[0]["steps"]) == 2


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_a_story_of_nothing_is_refused(run: Run, text: str) -> None:
    Path("story.jsonl").write_text(text)
    result = run()
    assert result.exit_code == 1
    assert "story.jsonl has no events; write one JSON object a line" in result.output


def test_a_story_that_is_not_there_is_one_clear_message(run: Run) -> None:
    result = run()
    assert result.exit_code == 1
    assert "story.jsonl can't be read: No such file" in result.output


# What is wrong with the rest


def test_a_broken_lifecycle_is_told_with_its_place(run: Run) -> None:
    story(event("o1", "purchase", "2026-01-02"))
    Path("my.yaml").write_text(LIFECYCLE.replace("facts.gifts >= 2", "facts.gift >= 2"))
    result = run()
    assert result.exit_code == 1
    assert "my.yaml:11:43: `generous`: unknown fact `facts.gift`" in result.output


def test_a_lifecycle_whose_stages_are_read_is_lived_through_too(run: Run) -> None:
    story(event("s1", "signup", "2026-01-02"))
    result = run("--format", "json", file="customer_care")
    assert "the shipped lifecycle `ecommerce` is taken" in result.stderr
    assert told(result)[0]["lifecycles"].keys() == {"customer_care", "ecommerce"}


def test_one_that_can_not_be_had_is_asked_for(run: Run) -> None:
    story(event("s1", "signup", "2026-01-02"))
    Path("my.yaml").write_text(LIFECYCLE.replace("facts.gifts >= 2", "stages.vip == 'x' && facts.gifts > 1"))
    result = run()
    assert result.exit_code == 1
    assert "there is no shipped lifecycle `vip`: name a file with --with" in result.output


@pytest.mark.parametrize(
    ("words", "environment", "revenue"),
    [((), "BRL", "10.00"), (("--currency", "EUR"), "BRL", "0.00"), ((), "EUR", "0.00"), (("--currency", "BRL"), "EUR", "10.00")],
)  # fmt: skip
def test_money_is_counted_in_the_currency_that_is_asked_for(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], environment: str, revenue: str
) -> None:
    monkeypatch.setenv("JORNADA_DEFAULT_CURRENCY", environment)
    story(event("o1", "purchase", "2026-01-02"))
    assert told(run("--format", "json", *words))[0]["facts"]["revenue"] == revenue


def test_a_currency_that_is_none_is_refused(run: Run) -> None:
    story(event("o1", "purchase", "2026-01-02"))
    result = run("--currency", "reais")
    assert result.exit_code == 1
    assert "'reais' is no ISO 4217 code; write one such as BRL" in result.output
