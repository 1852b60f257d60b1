"""Reads campaign files. Every error names file, line and column, what is wrong and what to do."""

from __future__ import annotations

import io
from collections.abc import Iterable
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


class CampaignError(Permanent):
    """A campaign file is wrong; the message lists every problem with its place."""


def load(folder: Path | None, letters: Letters) -> dict[str, Campaign]:
    """All campaigns of a folder (None: the shipped ones), by key. Raises CampaignError."""
    problems: list[str] = []
    campaigns: dict[str, Campaign] = {}
    for path in sorted((folder or SHIPPED).glob("*.yaml")):
        try:
            campaign = parse(path.read_bytes(), path.name)
        except CampaignError as error:
            problems.append(str(error))
            continue
        if campaign.key in campaigns:
            problems.append(f"{path.name}: another file has the key {campaign.key!r} too; keys are unique")
        campaigns[campaign.key] = campaign
        problems += _missing_templates(path.name, campaign, letters)
    if problems:
        raise CampaignError("\n".join(problems))
    return campaigns


def parse(source: bytes, name: str) -> Campaign:
    """One campaign. Raises CampaignError."""
    if len(source) > _MAX_BYTES:
        raise CampaignError(f"{name}: the file has more than {_MAX_BYTES} bytes")
    try:
        tree = YAML(typ="rt", pure=True).load(io.BytesIO(source))
    except MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{mark.line + 1}:{mark.column + 1}" if mark else "1:1"
        raise CampaignError(
            f"{name}:{place}: {error.problem}; in flow style, quote what holds a comma or bracket"
        ) from None
    except (ValueError, UnicodeError) as error:
        raise CampaignError(f"{name}:1:1: this is no YAML: {error}") from None
    try:
        return CampaignFile.model_validate(tree).build()
    except ValidationError as error:
        raise CampaignError("\n".join(_explain(name, tree, one) for one in error.errors())) from None
    except ValueError as error:
        line, column = _position(tree, ("audience",))
        raise CampaignError(f"{name}:{line}:{column}: {error}") from None


def _missing_templates(name: str, campaign: Campaign, letters: Letters) -> Iterable[str]:
    known = letters.names()
    for step in campaign.steps:
        if step.template not in known:
            yield f"{name}: step {step.key!r} names the template {step.template!r}; there are {', '.join(sorted(known))}"


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
