"""Reads campaign files. Every error names file, line and column, what is wrong and what to do."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from services.notifier.definitions.model import CampaignFile, advice
from services.notifier.domain.campaign import Campaign
from services.notifier.rendering import Letters
from shared.errors import Permanent

SHIPPED: Final = Path(__file__).parent.parent / "campaigns"
_MAX_BYTES: Final = 256 * 1024
_QUOTE_HINT: Final = "; in flow style, quote what holds a comma or bracket"


class CampaignError(Permanent):
    """A campaign file is wrong; the message lists every problem with its place."""


@dataclass(frozen=True, slots=True)
class Source:
    """A campaign file that is right in itself, with the places of what it says."""

    file: str
    shape: CampaignFile
    campaign: Campaign
    tree: Any

    def place(self, *path: str | int) -> str:
        """`file:line:column` of what stands at a path of keys and indexes."""
        line, column = _position(self.tree, path)
        return f"{self.file}:{line}:{column}"


def load(folder: Path | None, letters: Letters) -> dict[str, Campaign]:
    """All campaigns of a folder (None: the shipped ones), by key. Raises CampaignError."""
    sources = read(folder)
    if problems := [one for source in sources for one in _missing_templates(source, letters)]:
        raise CampaignError("\n".join(problems))
    return {source.campaign.key: source.campaign for source in sources}


def read(folder: Path | None) -> list[Source]:
    """The same without a look at templates, in the order of file names. Raises CampaignError."""
    problems: list[str] = []
    sources: dict[str, Source] = {}
    for path in sorted((folder or SHIPPED).glob("*.yaml")):
        try:
            source = read_source(path.read_bytes(), path.name)
        except CampaignError as error:
            problems.append(str(error))
            continue
        if source.campaign.key in sources:
            problems.append(f"{path.name}: another file has the key {source.campaign.key!r} too; keys are unique")
        sources[source.campaign.key] = source
    if problems:
        raise CampaignError("\n".join(problems))
    return list(sources.values())


def parse(source: bytes, name: str) -> Campaign:
    """One campaign. Raises CampaignError."""
    return read_source(source, name).campaign


def read_source(source: bytes, name: str) -> Source:
    """One campaign, with its places. Raises CampaignError."""
    tree = _tree(source, name)
    try:
        shape = CampaignFile.model_validate(tree)
        return Source(name, shape, shape.build(), tree)
    except ValidationError as error:
        raise CampaignError("\n".join(_explain(name, tree, one) for one in error.errors())) from None
    except ValueError as error:
        line, column = _position(tree, ("audience",))
        raise CampaignError(f"{name}:{line}:{column}: {error}") from None


def _tree(source: bytes, name: str) -> Any:
    if len(source) > _MAX_BYTES:
        raise CampaignError(f"{name}: the file has more than {_MAX_BYTES} bytes")
    try:
        return YAML(typ="rt", pure=True).load(io.BytesIO(source))
    except MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{mark.line + 1}:{mark.column + 1}" if mark else "1:1"
        hint = _QUOTE_HINT if "flow" in str(error.context) else ""
        raise CampaignError(f"{name}:{place}: {error.problem}{hint}") from None
    except (ValueError, UnicodeError) as error:
        raise CampaignError(f"{name}:1:1: this is no YAML: {error}") from None


def _missing_templates(source: Source, letters: Letters) -> Iterable[str]:
    known = letters.names()
    for step in source.campaign.steps:
        if step.template not in known:
            named = f"step {step.key!r} names the template {step.template!r}"
            yield f"{source.file}: {named}; there are {', '.join(sorted(known))}"


def _explain(name: str, tree: Any, problem: Any) -> str:
    where = tuple(problem["loc"])
    line, column = _position(tree, where)
    path = ".".join(str(part) for part in where) or "the file"
    message = str(problem["msg"]).removeprefix("Value error, ")
    hint = advice(problem["type"], where)
    return f"{name}:{line}:{column}: {path}: {message}" + (f" ({hint})" if hint else "")


def _position(tree: Any, where: tuple[Any, ...]) -> tuple[int, int]:
    """Line and column, from 1, of the deepest part of a path that the file has."""
    line, column = 1, 1
    node: Any = tree
    for part in where:
        marks: Any = getattr(node, "lc", None)
        try:
            found = marks.item(part) if isinstance(part, int) else marks.key(part)
            node = node[part]
        except (AttributeError, KeyError, TypeError, IndexError):
            break
        line, column = found[0] + 1, found[1] + 1
    return line, column
