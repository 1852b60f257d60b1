"""The dry run of all letters: what is wrong is told by name, and what is too expensive costs no service anything."""

from __future__ import annotations

import resource
import shutil
import sys
import time
from pathlib import Path

import pytest

from services.notifier.channels.letters import sample_values
from services.notifier.dry_run import Bounds, dry_run
from services.notifier.liquid import TemplateError
from services.notifier.rendering import SHIPPED

VALUES = sample_values("Loja")
MIB = 1024 * 1024


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one good letter."""
    for name in ("letter", "welcome"):
        shutil.copytree(SHIPPED / name, tmp_path / name)
    return tmp_path


def write(folder: Path, text: str) -> None:
    """Make the welcome in English say this."""
    (folder / "welcome" / "en.txt.liquid").write_text(f"Subject: Hello\n\n{text}")


def test_the_shipped_letters_pass_within_a_fraction_of_the_bounds() -> None:
    dry_run(SHIPPED, "pt-BR", VALUES, Bounds(memory_bytes=Bounds().memory_bytes // 2))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{{ customer.nme }}", r"welcome/en\.txt: .*nme"),
        ("{% for i in (1..99999999) %}x{% endfor %}", r"welcome/en\.txt: .*limit"),
        ("{% if %}", r"welcome/en\.txt: "),
    ],
)
def test_what_is_wrong_is_told_as_the_letter_itself_would(folder: Path, text: str, told: str) -> None:
    write(folder, text)
    with pytest.raises(TemplateError, match=told):
        dry_run(folder, "pt-BR", VALUES)


def test_a_letter_that_takes_too_much_memory_is_named_and_takes_none_of_ours(folder: Path) -> None:
    write(folder, "{{ customer.name }}\n" * 1_000_000)
    # macOS has no limit on a process's memory; there it is the time that ends it.
    told = "not done within 3 s" if sys.platform == "darwin" else "takes more than 96 MiB of memory"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TemplateError, match=rf"^welcome/en: {told}; simplify it$"):
        dry_run(folder, "pt-BR", VALUES, Bounds(96 * MIB, seconds=3))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_a_letter_that_takes_too_long_is_named_and_ended(folder: Path) -> None:
    write(folder, ENDLESS)
    began = time.monotonic()
    with pytest.raises(TemplateError, match=r"^welcome/en: not done within 2 s; simplify it$"):
        dry_run(folder, "pt-BR", VALUES, Bounds(seconds=2))
    assert time.monotonic() - began < 10


ENDLESS = "{% for i in (1..1000) %}{% if i == 0 %}{% endif %}{% endfor %}\n" * 20_000
"""Each loop is within its bound, and there are many."""
