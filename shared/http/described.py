"""Bodies in the API's own description, for routes that read them themselves."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

_OWN = "#/$defs/"


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """The `requestBody` of OpenAPI for a JSON body of this form. What the form refers to is written out in its place:
    a reference of a schema's own would point to nowhere in the whole description. Forms within themselves are not meant."""
    schema = model.model_json_schema()
    parts = schema.pop("$defs", {})
    return {"required": True, "content": {"application/json": {"schema": _whole(schema, parts)}}}


def _whole(part: Any, parts: dict[str, Any]) -> Any:
    if isinstance(part, list):
        return [_whole(each, parts) for each in part]
    if not isinstance(part, dict):
        return part
    written = {name: _whole(each, parts) for name, each in part.items() if name != "$ref"}
    if "$ref" in part:
        return {**_whole(parts[part["$ref"].removeprefix(_OWN)], parts), **written}
    return written
