"""Advice names the command as it works when it is typed where the reader is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from services.cli import console
from services.cli.console import as_typed_here, program


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script as `make` installs it, called by its path from the folder above, and not on PATH."""
    made = tmp_path / ".venv" / "bin" / "jornada"
    made.parent.mkdir(parents=True)
    made.write_text("#!/bin/sh\n")
    made.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(sys, "argv", [".venv/bin/jornada", "up"])
    return made


def test_a_script_beside_the_reader_is_named_by_its_path(script: Path) -> None:
    assert program() == ".venv/bin/jornada"
    assert as_typed_here("run `jornada migrate`, jornada says") == "run `.venv/bin/jornada migrate`, jornada says"


def test_from_elsewhere_the_whole_path_is_named(
    script: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [str(script)])
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert program() == str(script)


def test_a_script_on_the_path_is_just_jornada(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(script.parent))
    monkeypatch.setattr(sys, "argv", [str(script)])
    assert program() == "jornada"


def test_a_module_names_the_script_beside_its_python(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(script.with_name("python")))
    monkeypatch.setattr(sys, "argv", [console.__file__])
    assert program() == ".venv/bin/jornada"


def test_errors_are_said_so(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    console.say_error("run `jornada migrate`")
    assert "`.venv/bin/jornada migrate`" in capsys.readouterr().err
