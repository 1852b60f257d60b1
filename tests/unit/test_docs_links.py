"""What the documents point to is there: links between them, and the files that they name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
NAMES_FILES = [ROOT / name for name in ("README.md", "docs/architecture.md", "docs/guarantees.md", "docs/testing.md")]
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"`((?:services|shared|migrations|deploy|tests|docs)/[\w./-]+)`")


def slug(heading: str) -> str:
    """The anchor that a heading gets: lower case, no punctuation, hyphens for spaces."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def problem(document: Path, link: str) -> str | None:
    """What is wrong with a relative link."""
    name, _, anchor = link.partition("#")
    target = (document.parent / name).resolve() if name else document
    if not target.exists():
        return f"{link}: there is no {target.relative_to(ROOT) if target.is_relative_to(ROOT) else target}"
    if anchor and anchor not in {slug(found) for found in HEADING.findall(target.read_text(encoding="utf-8"))}:
        return f"{link}: no such heading"
    return None


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_resolve(document: Path) -> None:
    links = LINK.findall(FENCED.sub("", document.read_text(encoding="utf-8")))
    found = [problem(document, link) for link in links if "://" not in link and not link.startswith("mailto:")]
    assert [each for each in found if each] == []


@pytest.mark.parametrize("document", NAMES_FILES, ids=lambda path: path.name)
def test_files_that_are_named_exist(document: Path) -> None:
    names = FILE.findall(document.read_text(encoding="utf-8"))
    assert names
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_a_broken_link_and_a_broken_anchor_are_noticed() -> None:
    document = ROOT / "README.md"
    assert problem(document, "docs/nowhere.md") is not None
    assert problem(document, "docs/operations.md#no-such-heading") is not None
    assert problem(document, "docs/operations.md") is None
