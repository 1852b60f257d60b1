"""`jornada lifecycle diagram`: the picture that the pages have, and one for the terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.main import app
from services.stage_engine.definitions.definition import SHIPPED, load_definition
from services.stage_engine.definitions.diagram import mermaid, terminal


def test_mermaid_text_is_that_of_the_pages() -> None:
    said = CliRunner().invoke(app, ["lifecycle", "diagram", "ecommerce", "--mermaid"])
    assert said.exit_code == 0
    assert said.stdout.strip() == mermaid(load_definition(SHIPPED / "ecommerce.yaml")).strip()


def test_programs_get_the_same_text() -> None:
    for more in ((), ("--mermaid",)):
        said = CliRunner().invoke(app, ["lifecycle", "diagram", "ecommerce", "--format", "json", *more])
        assert said.exit_code == 0
        drawn = mermaid(load_definition(SHIPPED / "ecommerce.yaml"))
        assert json.loads(said.stdout) == {"lifecycle": "ecommerce", "mermaid": drawn}


@pytest.mark.parametrize("word", ["first_time_customer", "at_risk", "second_purchase"])
def test_the_terminal_shows_stages_and_transitions(word: str) -> None:
    said = CliRunner().invoke(app, ["lifecycle", "diagram", "ecommerce"])
    assert said.exit_code == 0
    assert word in said.stdout


def test_names_with_brackets_are_no_markup_and_a_long_way_stays_on_its_line(tmp_path: Path) -> None:
    label, types = "Gold [b]plus[/b]", ", ".join(f"custom_event_{number}" for number in range(12))
    file = tmp_path / "my.yaml"
    file.write_text(
        f'lifecycle: mine\nstart: a\nstages:\n  a: {{order: 1}}\n  b: {{order: 2, end: true, label: {{en: "{label}"}}}}\n'
        f"transitions:\n  - {{id: x, from: a, to: b, on: [{types}]}}\n"
    )
    said = CliRunner().invoke(app, ["lifecycle", "diagram", str(file)])
    assert said.stdout == terminal(load_definition(file)) + "\n"
    assert label in said.stdout
    assert max(map(len, said.stdout.splitlines())) > 140
