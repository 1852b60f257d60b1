"""`POST /v1/lifecycles/lint`: what there is to say about a text, before anybody publishes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request

from services.stage_engine.api.desk import CheckCampaigns, Desk, Reader
from services.stage_engine.api.lifecycle_forms import FindingOut, LintOut
from services.stage_engine.definitions.definition import Definition, parse_definition
from services.stage_engine.definitions.lint import lint
from services.stage_engine.definitions.stored import parsed
from services.stage_engine.definitions.together import check_together
from services.stage_engine.definitions.yaml_source import DefinitionError, Problem, decoded
from services.stage_engine.store import lifecycles
from services.stage_engine.store.lifecycles import Stored
from shared.http.body import read_body

FileName = Annotated[str, Query(min_length=1, max_length=200, description="what to call the text in findings")]
_YAML: Final[dict[str, Any]] = {"schema": {"type": "string"}, "example": "lifecycle: membership\nstart: visitor\n"}
_BODY: Final = {
    "requestBody": {
        "required": True,
        "description": "the YAML text",
        "content": dict.fromkeys(("application/yaml", "text/yaml", "text/plain"), _YAML),
    }
}


def linting_router(desk: Desk) -> APIRouter:
    """The route. It needs the scope customers:read and changes nothing."""
    routes = APIRouter(tags=["lifecycles"])

    @routes.post("/v1/lifecycles/lint", openapi_extra=_BODY)
    async def lint_text(request: Request, caller: Reader, file: FileName = "lifecycle.yaml") -> LintOut:
        """Errors, warnings and notes about a definition beside the active versions of the other lifecycles. 200 whatever
        is found. Campaigns that wait for stages which it lacks are errors, each with its file and place."""
        body = await read_body(request)
        async with desk.resources.database.reading() as transaction:
            active = await lifecycles.newest(transaction)
        return await desk.aside(lambda: examined(file, body, active, desk.check_campaigns))

    return routes


def examined(file: str, body: bytes, active: Sequence[Stored], check_campaigns: CheckCampaigns) -> LintOut:
    """What there is to say about a text beside the active versions, and about campaigns that it does not fit."""
    try:
        definition = parse_definition(file, decoded(file, body))
        check_together([definition, *(parsed(each) for each in active if each.name != definition.name)])
    except DefinitionError as error:
        return LintOut(file=file, errors=[_finding(each) for each in error.problems], warnings=[], notes=[])
    errors = [_finding(each) for each in check_campaigns(definition)]
    warnings = [_finding(each) for each in lint(definition)]
    return LintOut(file=file, errors=errors, warnings=warnings, notes=list(_notes(definition, active)))


def _notes(definition: Definition, active: Sequence[Stored]) -> Iterator[str]:
    known = {each.name: each.version for each in active}
    if definition.name not in known:
        yield f"no engine runs a lifecycle `{definition.name}` yet: one registers it when it starts with this file"
    for name in definition.reads_stages:
        yield f"stages.{name} is looked at as version {known[name]} has them, which is active"


def _finding(found: Problem) -> FindingOut:
    return FindingOut(file=found.file, line=found.line, column=found.column, message=found.message)
