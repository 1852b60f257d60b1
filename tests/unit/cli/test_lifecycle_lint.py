"""`jornada lifecycle lint` and `schema`, as a person and as a program meet them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli.main import app
from services.stage_engine.definitions.definition import SHIPPED
from services.stage_engine.definitions.schema import json_schema

Run = Callable[..., Any]

GOOD = """\
lifecycle: mine
start: a
stages:
  a: {order: 10}
  b: {order: 20, end: true}
transitions:
  - {id: go, from: a, to: b, on: signup}
"""
ODD = GOOD.replace(", end: true", "")
BROKEN = GOOD.replace("on: signup", 'when: "facts.ordres > 1"')
READS = GOOD.replace("on: signup", "when: \"stages.ecommerce == 'loyal'\"")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `jornada …` in a fresh folder."""
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    return lambda *words: runner.invoke(app, list(words), catch_exceptions=False, terminal_width=200)


def write(text: str, name: str = "my.yaml") -> str:
    Path(name).write_text(text)
    return name


@pytest.mark.parametrize(
    ("text", "words", "code"),
    [
        (GOOD, (), 0),
        (GOOD, ("--strict",), 0),
        (ODD, (), 0),
        (ODD, ("--strict",), 1),
        (BROKEN, (), 1),
        (GOOD, ("--no",), 2),
    ],
)
def test_the_exit_code_says_what_was_found(run: Run, text: str, words: tuple[str, ...], code: int) -> None:
    assert run("lifecycle", "lint", write(text), *words).exit_code == code


def test_a_good_file_is_one_line(run: Run) -> None:
    assert run("lifecycle", "lint", write(GOOD)).stdout == "my.yaml: no errors, no warnings\n"


def test_findings_are_told_as_compilers_do(run: Run) -> None:
    warned = run("lifecycle", "lint", write(ODD)).stdout.splitlines()
    assert warned == [
        "my.yaml:5:6: warning: nothing leads out of `b`; say `end: true` if that is meant",
        "my.yaml: no errors, 1 warning",
    ]
    refused = run("lifecycle", "lint", write(BROKEN)).stdout.splitlines()
    assert refused == [
        "my.yaml:7:37: error: `go`: unknown fact `facts.ordres`; did you mean `orders`?",
        "my.yaml: 1 error, no warnings",
    ]


def test_a_long_finding_stays_on_its_line(run: Run) -> None:
    long = "a_rather_long_name_" * 3
    text = GOOD.replace("start: a", f"start: {long}").replace(" a: ", f" {long}: ").replace("from: a", f"from: {long}")
    said = run(
        "lifecycle", "lint", write(text.replace("transitions:", f"  {long}c: {{order: 30, end: true}}\ntransitions:"))
    ).stdout
    assert len(said.splitlines()) == 2
    assert len(said.splitlines()[0]) > 140


def test_programs_get_places_and_messages(run: Run) -> None:
    assert json.loads(run("lifecycle", "lint", write(ODD), "--format", "json").stdout) == {
        "file": "my.yaml",
        "errors": [],
        "warnings": [
            {
                "file": "my.yaml",
                "line": 5,
                "column": 6,
                "message": "nothing leads out of `b`; say `end: true` if that is meant",
            }
        ],
        "notes": [],
    }
    broken = run("lifecycle", "lint", write(BROKEN), "--format", "json")
    assert broken.exit_code == 1
    (error,) = json.loads(broken.stdout)["errors"]
    assert (error["line"], error["column"]) == (7, 37)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_lifecycles_are_found_by_name_and_are_good(run: Run, path: Path) -> None:
    result = run("lifecycle", "lint", path.stem, "--strict")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, f"{path}: no errors, no warnings")


def test_a_file_that_is_not_there_is_told_with_what_is(run: Run) -> None:
    result = run("lifecycle", "lint", "ecomerce")
    assert result.exit_code == 1
    assert "there is no lifecycle 'ecomerce'; shipped are " in result.output
    assert "Traceback" not in result.output


def test_a_file_with_brackets_in_its_name_is_no_markup(run: Run) -> None:
    assert (
        run("lifecycle", "lint", write(ODD, "[red]my.yaml")).stdout.splitlines()[-1]
        == "[red]my.yaml: no errors, 1 warning"
    )


# Other lifecycles


def test_a_shipped_lifecycle_whose_stages_are_read_is_taken_and_named(run: Run) -> None:
    result = run("lifecycle", "lint", write(READS), "--strict")
    assert result.exit_code == 0
    assert (
        "note: the shipped lifecycle `ecommerce` is taken for stages.ecommerce; --with names another" in result.stdout
    )


def test_lifecycles_that_a_shipped_one_reads_are_taken_too(run: Run) -> None:
    care = write(READS.replace("ecommerce == 'loyal'", "customer_care == 'overdue'"))
    notes = json.loads(run("lifecycle", "lint", care, "--format", "json").stdout)["notes"]
    assert [note.split("`")[1] for note in notes] == ["customer_care", "ecommerce"]


def test_a_stage_that_the_shipped_one_does_not_have_is_an_error(run: Run) -> None:
    result = run("lifecycle", "lint", write(READS.replace("'loyal'", "'loyl'")))
    assert result.exit_code == 1
    assert "my.yaml:7:57: error: `go`: ecommerce has no stage `loyl`; did you mean `loyal`?" in result.stdout


def test_with_names_the_lifecycle_that_is_meant(run: Run) -> None:
    other = write(GOOD.replace("mine", "ecommerce").replace(" a", " loyl"), "other.yaml")
    result = run("lifecycle", "lint", write(READS.replace("'loyal'", "'loyl'")), "--with", other)
    assert result.exit_code == 0
    assert "note" not in result.stdout


def test_a_lifecycle_that_can_not_be_had_is_an_error_with_advice(run: Run) -> None:
    result = run("lifecycle", "lint", write(READS.replace("stages.ecommerce", "stages.vip")), "--format", "json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert "no active lifecycle `vip`" in found["errors"][0]["message"]
    assert found["notes"] == ["there is no shipped lifecycle `vip`: name a file with --with"]


def test_a_broken_file_beside_is_told_with_its_own_name(run: Run) -> None:
    result = run("lifecycle", "lint", write(GOOD), "--with", write(BROKEN.replace("mine", "other"), "other.yaml"))
    assert result.exit_code == 1
    assert "other.yaml:7:37: error: " in result.stdout


def test_lifecycles_that_read_each_other_in_a_circle_are_an_error(run: Run) -> None:
    back = write(
        READS.replace("mine", "ecommerce").replace("stages.ecommerce == 'loyal'", "stages.mine == 'b'"), "other.yaml"
    )
    result = run("lifecycle", "lint", write(READS.replace("'loyal'", "'a'")), "--with", back)
    assert result.exit_code == 1
    assert "in a circle: ecommerce, mine" in result.stdout


# Campaigns


def campaigns(folder: Path, monkeypatch: pytest.MonkeyPatch, trigger: str) -> None:
    folder.joinpath("campaigns").mkdir()
    steps = "steps: [{key: one, template: welcome}]"
    text = f"key: hello\nclass: marketing\ntrigger: {{lifecycle: mine, {trigger}}}\n{steps}\n"
    folder.joinpath("campaigns", "hello.yaml").write_text(text)
    monkeypatch.setenv("JORNADA_CAMPAIGNS_DIR", str(folder / "campaigns"))


def test_a_campaign_for_a_stage_that_there_is_not_is_an_error(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaigns(tmp_path, monkeypatch, "entered: c")
    result = run("lifecycle", "lint", write(GOOD), "--format", "json")
    assert result.exit_code == 1
    (error,) = json.loads(result.stdout)["errors"]
    assert (error["file"], error["line"], error["column"]) == ("hello.yaml", 3, 28)
    assert "the campaign `hello` waits for the stage `c`, which mine does not have" in error["message"]


def test_a_campaign_that_fits_and_one_of_another_lifecycle_are_fine(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaigns(tmp_path, monkeypatch, "entered: b")
    assert run("lifecycle", "lint", write(GOOD)).exit_code == 0
    assert run("lifecycle", "lint", write(GOOD.replace("mine", "other"))).exit_code == 0


def test_broken_campaigns_are_told_in_the_same_form(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    campaigns(tmp_path, monkeypatch, "entred: b")
    result = run("lifecycle", "lint", write(GOOD), "--format", "json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["errors"][0]["file"] == "hello.yaml"


def test_a_changed_shop_is_held_against_the_shipped_campaigns(run: Run) -> None:
    result = run("lifecycle", "lint", write(GOOD.replace("mine", "ecommerce")))
    assert result.exit_code == 1
    assert "waits for the stage `" in result.stdout


# Schema


def test_the_schema_is_json_on_standard_output(run: Run) -> None:
    result = run("lifecycle", "schema")
    assert (result.exit_code, json.loads(result.stdout)) == (0, json_schema())


@pytest.mark.parametrize("command", ["lint", "simulate"])
def test_help_says_what_the_exit_code_means(run: Run, command: str) -> None:
    assert "Exit code: 0" in run("lifecycle", command, "--help").output


def test_help_lists_the_commands(run: Run) -> None:
    said = run("lifecycle", "--help").output
    assert [name for name in ("lint", "simulate", "schema") if name not in said] == []
