"""The page of each shipped lifecycle says what its file says: the picture, and every stage, fact and event by name.

`python -m tests.unit.test_docs_lifecycles` puts the pictures as they should be into the pages.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from services.stage_engine.definitions.definition import SHIPPED, Definition, load_definition
from services.stage_engine.definitions.diagram import mermaid
from services.stage_engine.definitions.expressions import MAX_SOURCE_CHARACTERS, MAX_SUMS
from services.stage_engine.definitions.yaml_source import MAX_FILE_BYTES, MAX_NODES
from shared.contracts.events import PAYLOADS

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "lifecycles"
NAMES = sorted(file.stem for file in SHIPPED.glob("*.yaml"))
PICTURE = re.compile(r"(?<=^```mermaid\n).*?(?=\n```$)", re.MULTILINE | re.DOTALL)
ORIGIN = re.compile(r"^\*\*Where it comes from\.\*\* (.+?)\n\n", re.MULTILINE | re.DOTALL)
STAGES = re.compile(r"^## Stages\n\n\| stage \| an? \w+ is here [^|]*\|\n\|---\|---\|\n((?:\|.*\n)+)", re.MULTILINE)
IN_BACKTICKS = re.compile(r"`([^`\n]+)`")


def definition_of(name: str) -> Definition:
    return load_definition(SHIPPED / f"{name}.yaml")


def page_of(name: str) -> str:
    return (PAGES / f"{name}.md").read_text(encoding="utf-8")


def named_in(definition: Definition) -> set[str]:
    """All that a page must name."""
    shape = definition.shape
    by_edges = {each for part in shape.transitions for each in part.on or ()}
    by_facts = {each for fact in shape.facts.values() for each in fact.event_types}
    return {*shape.stages, *shape.facts, *by_edges, *by_facts}


def test_each_lifecycle_has_a_page_and_each_page_a_lifecycle() -> None:
    assert sorted(page.stem for page in PAGES.glob("*.md")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_picture_is_that_of_the_file(name: str) -> None:
    advice = "out of date; run python -m tests.unit.test_docs_lifecycles"
    assert PICTURE.findall(page_of(name)) == [mermaid(definition_of(name))], advice


@pytest.mark.parametrize("name", NAMES)
def test_stages_facts_and_events_are_named(name: str) -> None:
    assert named_in(definition_of(name)) - set(IN_BACKTICKS.findall(page_of(name))) == set()


@pytest.mark.parametrize("name", NAMES)
def test_it_is_said_where_the_lifecycle_comes_from(name: str) -> None:
    told = ORIGIN.search(page_of(name))
    assert told, "begin a paragraph with **Where it comes from.**"
    assert len(told[1].split()) >= 10


@pytest.mark.parametrize("name", NAMES)
def test_a_table_says_how_each_stage_is_recognised(name: str) -> None:
    table = STAGES.search(page_of(name))
    assert table, "under ## Stages, write a table | stage | a customer is here … |"
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[1].splitlines()]
    assert sorted(stage.strip("`") for stage, _ in rows) == sorted(definition_of(name).shape.stages)
    assert [stage for stage, how in rows if not re.search(r"\w", how)] == []


@pytest.mark.parametrize("name", NAMES)
def test_event_types_of_its_own_are_said_to_be_custom(name: str) -> None:
    shape = definition_of(name).shape
    types = {each for part in shape.transitions for each in part.on or ()}
    types |= {each for fact in shape.facts.values() for each in fact.event_types}
    assert bool(types - PAYLOADS.keys()) == ("custom type" in page_of(name))


@pytest.mark.parametrize("name", NAMES)
def test_the_list_of_lifecycles_leads_to_its_page(name: str) -> None:
    listed = (ROOT / "docs" / "lifecycles.md").read_text(encoding="utf-8")
    assert f"[{name}](lifecycles/{name}.md)" in listed


def test_samples_in_other_pages_agree_with_the_file_and_with_each_other() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    http_api = (ROOT / "docs" / "http-api.md").read_text(encoding="utf-8")
    shown = json.loads(re.findall(r'\{"key":"at_risk",[^{}]*\{[^{}]*\}[^{}]*\}', http_api)[0])
    assert shown == {"key": "at_risk", **definition_of("ecommerce").shape.stages["at_risk"].model_dump()}
    came_from = re.findall(
        r'(?:"from": ?"|came from )(\w+)(?:",\s+"to": "first_time_customer"| by first_purchase)', readme
    )
    assert came_from == ["lead", "lead"]


def test_limits_are_told_as_they_are() -> None:
    listed = (ROOT / "docs" / "lifecycles.md").read_text(encoding="utf-8")
    assert f"at most {MAX_SOURCE_CHARACTERS} characters, {MAX_SUMS} `+`" in listed
    assert f"at most {MAX_FILE_BYTES // 1024} KiB, and {MAX_NODES:,} keys and values" in listed


if __name__ == "__main__":
    for each in NAMES:
        drawn = mermaid(definition_of(each))
        (PAGES / f"{each}.md").write_text(PICTURE.sub(lambda _, said=drawn: said, page_of(each)), encoding="utf-8")  # type: ignore[misc]
