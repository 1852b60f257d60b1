"""`jornada lifecycle diagram`: the picture that the pages have, and one for the terminal."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from services.cli.main import app
from services.stage_engine.definitions.definition import SHIPPED, load_definition
from services.stage_engine.definitions.diagram import mermaid


def test_mermaid_text_is_that_of_the_pages() -> None:
    said = CliRunner().invoke(app, ["lifecycle", "diagram", "ecommerce", "--mermaid"])
    assert said.exit_code == 0
    assert said.stdout.strip() == mermaid(load_definition(SHIPPED / "ecommerce.yaml")).strip()


@pytest.mark.parametrize("word", ["first_time_customer", "at_risk", "second_purchase"])
def test_the_terminal_shows_stages_and_transitions(word: str) -> None:
    said = CliRunner().invoke(app, ["lifecycle", "diagram", "ecommerce"])
    assert said.exit_code == 0
    assert word in said.stdout
