"""How POST /v1/events appears in openapi.json: the body is read by hand, so it is described by hand."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from services.ingest.domain.envelope import MAX_TEXT
from services.ingest.domain.intake import MAX_ITEMS
from shared.contracts.events import PAYLOADS

_PURCHASE: dict[str, Any] = {
    "id": "order-1001-paid",
    "type": "purchase",
    "customer_id": "c-42",
    "time": "2026-11-22T14:03:11Z",
    "data": {
        "order_id": "1001",
        "amount": "129.90",
        "currency": "BRL",
        "items": [{"sku": "A1", "quantity": 1, "price": "129.90"}],
    },
}
_SIGNUP: dict[str, Any] = {
    "type": "signup",
    "customer_id": "c-42",
    "data": {"email": "ana@example.com", "locale": "pt-BR", "consent": {"email": True}},
}
_IMPORTED: dict[str, Any] = {**_PURCHASE, "id": "order-17-paid", "time": "2025-02-03T10:00:00Z", "mode": "backfill"}

DESCRIPTION = (
    f"One event, or an array of up to {MAX_ITEMS}. 202 means that the log has it durably. The `id` is the dedupe key "
    "within a customer: after a time-out or a 503 send the same request again, with the same ids. Of keys that occur "
    "twice in a JSON object the last counts. `mode: backfill` imports history; it needs the scope events:backfill, an id "
    "and a time. Types that are not listed are custom: their data is any object."
)


def events_documentation() -> dict[str, Any]:
    """The `openapi_extra` of the route."""
    examples = {"purchase": _PURCHASE, "signup": _SIGNUP, "import": [_IMPORTED], "batch": [_PURCHASE, _SIGNUP]}
    content = {
        "schema": {"oneOf": [_event(), {"type": "array", "minItems": 1, "maxItems": MAX_ITEMS, "items": _event()}]},
        "examples": {name: {"value": value} for name, value in examples.items()},
    }
    return {
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": _responses(),
    }


def _event() -> dict[str, Any]:
    text = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["type", "customer_id"],
        "properties": {
            "id": {
                **text,
                "description": "dedupe key within the customer; required for purchase and purchase_refunded",
            },
            "type": {"type": "string", "pattern": "^[a-z][a-z0-9_.:-]{0,63}$"},
            "customer_id": text,
            "time": {"type": "string", "format": "date-time", "description": "when it happened; now when left out"},
            "data": {"anyOf": [*_payloads(), {"type": "object", "title": "Custom"}]},
            "mode": {"enum": ["live", "backfill"], "default": "live"},
        },
    }


def _payloads() -> list[dict[str, Any]]:
    """The twelve payload schemas with their definitions inlined where they are used."""
    _, whole = models_json_schema([(model, "validation") for model in PAYLOADS.values()])
    definitions: dict[str, dict[str, Any]] = whole["$defs"]
    return [
        {**_inlined(definitions[model.__name__], definitions), "title": event_type}
        for event_type, model in PAYLOADS.items()
    ]


def _inlined(schema: Any, definitions: dict[str, dict[str, Any]]) -> Any:
    if isinstance(schema, list):
        return [_inlined(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
    return {name: _inlined(part, definitions) for name, part in schema.items()}


def _responses() -> dict[str, Any]:
    described = {
        "202": "the log has all of them",
        "207": "some items were accepted, some refused; each says which",
        "400": "the body is no JSON",
        "401": "no good API key",
        "403": "the key lacks a scope",
        "413": "the body exceeds 1 MiB or the event 256 KiB",
        "422": "nothing can be taken; each error has a pointer and advice",
        "503": "the log is away: send the same again after Retry-After seconds",
    }
    return {status: {"description": text} for status, text in described.items()}
