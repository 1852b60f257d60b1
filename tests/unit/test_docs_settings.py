"""The table of settings in docs/operations.md says what shared/settings.py says. `python -m tests.unit.test_docs_settings`
prints the table as it should be."""

from __future__ import annotations

import re
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic.fields import FieldInfo

from shared.settings import PREFIX, Settings

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
UNITS = {"_seconds": "seconds", "_ms": "milliseconds", "_days": "days", "_hours": "hours", "_records": "records"}


def row(name: str, field: FieldInfo) -> str:
    """One line of the table."""
    cells = (f"`{PREFIX}{name.upper()}`", unit(name, field), default(field.default), field.description or "")
    return f"| {' | '.join(cells)} |"


def unit(name: str, field: FieldInfo) -> str:
    """The unit that the name ends in, or the values that are accepted."""
    annotation: Any = field.annotation
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if annotation is bool:
        return "`true`, `false`"
    named = next((unit for suffix, unit in UNITS.items() if name.endswith(suffix)), None)
    numbers = {int, float} & {annotation, *(set(get_args(annotation)) - {NoneType})}
    return named or ("number" if numbers else "text")


def default(value: object) -> str:
    """A default as somebody would write it into the environment."""
    if value is None or value == ():
        return "unset"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{','.join(map(str, value))}`" if isinstance(value, tuple) else f"`{value}`"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_in_the_table_with_its_unit_default_and_reason(name: str) -> None:
    assert row(name, Settings.model_fields[name]) in OPERATIONS.read_text(encoding="utf-8").splitlines()


def test_the_table_names_no_setting_that_is_gone() -> None:
    lines = OPERATIONS.read_text(encoding="utf-8").splitlines()
    named = {line.split("`")[1] for line in lines if line.startswith(f"| `{PREFIX}")}
    assert named == {PREFIX + name.upper() for name in Settings.model_fields}


def test_variables_of_tests_are_named() -> None:
    files = (Path(__file__).parents[1]).rglob("*.py")
    read = {name for file in files for name in re.findall(r'"(JORNADA_TEST_[A-Z]+)"', file.read_text(encoding="utf-8"))}
    assert read == set(re.findall(r"`(JORNADA_TEST_[A-Z]+)`", OPERATIONS.read_text(encoding="utf-8")))


if __name__ == "__main__":
    print("\n".join(row(name, field) for name, field in Settings.model_fields.items()))
