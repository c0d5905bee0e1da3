"""What a request to /predict asks for: JSON or a form, one input or several, as a model reads them."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from python_multipart.exceptions import FormParserError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from kft.characters import half_pair
from kft.registry import nearest
from kft.serve.limits import Limits, Refused, too_large, wrong

JSON, FORM = "application/json", "multipart/form-data"
Pair = tuple[str, str]


class PredictBody(BaseModel):
    """The body of a request to /predict: one input or several, under the name of what the model reads."""

    model_config = ConfigDict(extra="forbid", strict=True, title="PredictBody")

    model: str | None = Field(None, description="Which model; needed where the server has several.")
    text: str | None = Field(None, description="One text.")
    texts: list[str] | None = Field(None, description="Several texts.", min_length=1)
    pair: Pair | None = Field(None, description="Two texts that are judged together.")
    pairs: list[Pair] | None = Field(None, description="Several pairs.", min_length=1)
    image: str | None = Field(None, description="One image: the file's bytes in base64, or a data URI.")
    images: list[str] | None = Field(None, description="Several images.", min_length=1)
    inputs: list[str | Pair] | None = Field(None, description="Several inputs of whichever kind.", min_length=1)


KINDS: Mapping[str, str] = {
    "text": "text",
    "texts": "text",
    "pair": "text-pair",
    "pairs": "text-pair",
    "image": "image",
    "images": "image",
    "inputs": "",
}
"""What each key holds; ``inputs`` holds what the model reads."""


@dataclass(frozen=True)
class ParsedBody:
    """What a request asks for.

    Attributes:
        model: The name it gives.
        kind: ``text``, ``text-pair`` or ``image``; empty where it does not say.
        inputs: At least one.
        one: Whether it asks for a single answer.
    """

    model: str | None
    kind: str
    inputs: Sequence[Any]
    one: bool


async def read_predict(request: Request, limits: Limits) -> ParsedBody:
    """Returns what a request to /predict asks for.

    Raises:
        Refused: It is not what was asked for (422), or of another media type (415).
    """
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media == JSON:
        return _from_json(await request.body())
    if media == FORM:
        return await _from_form(request, limits)
    raise Refused(415, f"the body has to be {JSON} or {FORM}", kind="invalid")


def parse(kind: type[BaseModel], content: bytes) -> Any:
    """Returns a request's JSON as what it should be.

    Raises:
        Refused: It is something else; the reason names the place, and nothing that stands there.
    """
    try:
        return kind.model_validate_json(content)
    except ValidationError as failed:
        raise wrong(_problem(kind, failed)) from None


def _problem(kind: type[BaseModel], failed: ValidationError) -> str:
    first = failed.errors(include_url=False, include_input=False, include_context=False)[0]
    key = ".".join(str(part) for part in first["loc"] if not str(part).startswith(("tuple[", "function-")))[:100]
    if first["type"] == "json_invalid":
        return "the body is no JSON in UTF-8"
    if first["type"] == "extra_forbidden":
        hint = nearest(key, kind.model_fields)
        return "unknown key; " + (f"did you mean {hint}?" if hint else f"there are {', '.join(kind.model_fields)}")
    return f"{key or 'the body'}: {first['msg'][:1].lower()}{first['msg'][1:]}"


def _from_json(content: bytes) -> ParsedBody:
    body: PredictBody = parse(PredictBody, content)
    given = [name for name in KINDS if getattr(body, name) is not None]
    if len(given) != 1:
        raise wrong(f"give exactly one of {', '.join(KINDS)}; there are {len(given)}")
    (name,) = given
    value = getattr(body, name)
    one = not name.endswith("s")
    return ParsedBody(body.model, KINDS[name], [value] if one else value, one)


async def _from_form(request: Request, limits: Limits) -> ParsedBody:
    """Reads fields ``text`` and files ``image``, one or several of either, and ``model``."""
    try:
        async with request.form(max_files=1000, max_fields=1000, max_part_size=limits.body_bytes) as form:
            return await _from_fields(form)
    except HTTPException as error:
        raise wrong(f"the form cannot be read: {error.detail}") from None
    except FormParserError as error:  # older versions of Starlette let it through
        raise wrong(f"the form cannot be read: {error}") from None


async def _from_fields(form: FormData) -> ParsedBody:
    names = set(form.keys()) - {"model"}
    if names not in ({"text"}, {"image"}):
        raise wrong("the form needs fields text or files image, one kind of them, and may have a field model")
    (name,) = names
    parts = form.getlist(name)
    model = form.get("model")
    if any(isinstance(part, UploadFile) != (name == "image") for part in parts) or isinstance(model, UploadFile):
        raise wrong("in a form an image is a file, and text and model are plain fields")
    inputs = [await part.read() if isinstance(part, UploadFile) else part for part in parts]
    return ParsedBody(model, name, inputs, len(inputs) == 1)


def as_inputs(asked: Sequence[Any], kind: str, reads: str, limits: Limits) -> list[Any]:
    """Returns inputs as a model reads them.

    Args:
        asked: As they came: texts, pairs, images in base64 or as bytes.
        kind: What they are said to be; empty: what the model reads.
        reads: What the model reads.
        limits: Of the server.

    Raises:
        Refused: They are of another kind, empty (422), or too many (413).
    """
    if kind and kind != reads:
        raise wrong(f"this model reads {reads}, not {kind}")
    if len(asked) > limits.inputs:
        raise too_large(f"{len(asked):,} inputs in one request; at most {limits.inputs:,}")
    return [_input(value, reads, place) for place, value in enumerate(asked)]


def _input(value: Any, reads: str, place: int) -> Any:
    where = f"input {place}"
    if reads == "image":
        content = value if isinstance(value, bytes) else _decoded(value, where)
        if not content:
            raise wrong(f"{where}: the image is empty")
        return content
    texts = value if isinstance(value, tuple) else (value,)
    if len(texts) != (2 if reads == "text-pair" else 1) or not all(isinstance(text, str) for text in texts):
        wanted = "two texts together" if reads == "text-pair" else "one text at a time"
        raise wrong(f"{where}: this model reads {wanted}")
    if not all(text.strip() for text in texts):
        raise wrong(f"{where}: the text is empty")
    if problem := half_pair("".join(texts), "the text"):  # of a form in UTF-7
        raise wrong(f"{where}: {problem}")
    return value


def _decoded(value: Any, where: str) -> bytes:
    if not isinstance(value, str):
        raise wrong(f"{where}: an image is a text in base64")
    try:
        return base64.b64decode(value.partition(",")[2] if value.startswith("data:") else value, validate=True)
    except (binascii.Error, ValueError):
        raise wrong(f"{where}: the image is not in base64") from None


def dump(values: Any) -> bytes:
    """Returns JSON.

    Raises:
        ValueError: A number is not finite: an answer that no client could read.
    """
    return json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
