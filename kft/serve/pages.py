"""The pages: one to try the models, one that says what can be asked. Neither fetches anything from elsewhere."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

METHODS = ("get", "post")


@dataclass(frozen=True)
class Operation:
    """One thing that can be asked.

    Attributes:
        method: Of HTTP.
        path: With its parameters in braces.
        summary: What it does.
        tag: What it belongs to.
        media: Media types of its body.
        schema: Of its JSON body, as text; empty where it has none.
        codes: What may come back instead of an answer, and why.
    """

    method: str
    path: str
    summary: str
    tag: str
    media: tuple[str, ...]
    schema: str
    codes: Mapping[str, str]


def new_nonce() -> str:
    """Returns a word that marks the one script of a page."""
    return secrets.token_urlsafe(16)


@cache
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("kft.serve"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(template: str, values: Mapping[str, Any]) -> str:
    """Fills a template; every value is escaped."""
    return str(_environment().get_template(template).render(values))


def operations(document: Mapping[str, Any]) -> list[Operation]:
    """Returns what an OpenAPI document says can be asked."""
    return [
        _operation(document, path, method, about)
        for path, methods in document["paths"].items()
        for method, about in methods.items()
        if method in METHODS
    ]


def _operation(document: Mapping[str, Any], path: str, method: str, about: Mapping[str, Any]) -> Operation:
    content = about.get("requestBody", {}).get("content", {})
    reference = content.get("application/json", {}).get("schema", {}).get("$ref", "")
    schema = document["components"]["schemas"][reference.rpartition("/")[2]] if reference else None
    codes = {code: each["description"] for code, each in about["responses"].items() if not code.startswith("2")}
    return Operation(
        method=method.upper(),
        path=path,
        summary=about.get("summary", ""),
        tag=(about.get("tags") or [""])[0],
        media=tuple(content),
        schema=json.dumps(schema, indent=2, ensure_ascii=False) if schema else "",
        codes=codes,
    )
