"""What /openapi.json says beyond what FastAPI sees: bodies that are read by hand, and the refusals."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from kft.serve.reading import FORM, JSON

REFUSALS = {
    400: "The request is not HTTP as the server speaks it; of /v1, it asks for what is not done: the reason names it.",
    401: "The token is missing or wrong.",
    404: "There is no such model, or another version of it answers.",
    405: "The path takes another method.",
    408: "The body did not come in time.",
    413: "The body, or the number of inputs, is larger than the server takes.",
    415: "The body's media type is not read.",
    421: "Without a token the server answers to localhost only.",
    422: "The content is not what was asked for: the reason names the place.",
    429: "The answer would come too late: the queue is long. Retry-After says when to try again.",
    500: "Unexpected; the server's log says where.",
    503: "The server cannot answer now, or not in time. Retry-After says when to try again.",
}


class Problem(BaseModel):
    """Why a request was not answered."""

    error: str


ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": Problem, "description": description} for code, description in REFUSALS.items()
}


def reference(model: type[BaseModel]) -> dict[str, str]:
    """Returns the reference to a schema."""
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def schemas(models: tuple[type[BaseModel], ...]) -> dict[str, Any]:
    """Returns models, and what they consist of, as schemas by name."""
    found: dict[str, Any] = {}
    for model in models:
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        found |= schema.pop("$defs", {})
        found[model.__name__] = schema
    return found


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """Returns what an operation says of its body: JSON."""
    return {"requestBody": {"required": True, "content": {JSON: {"schema": reference(model)}}}}


def json_or_form(model: type[BaseModel]) -> dict[str, Any]:
    """Returns what an operation says of its body: JSON, or a form with texts or image files."""
    texts = {"type": "array", "items": {"type": "string"}, "minItems": 1}
    files = {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1}
    fields = {"text": texts, "image": files, "model": {"type": "string"}}
    body = json_body(model)
    body["requestBody"]["content"][FORM] = {"schema": {"type": "object", "properties": fields}}
    return body
