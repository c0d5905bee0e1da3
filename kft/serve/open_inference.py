"""The Open Inference Protocol, version 2, over REST: what KServe's and Triton's clients speak.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md. An answer's fields
are the output tensors: texts BYTES, numbers FP64, yes or no BOOL, probabilities FP64 of shape [n, labels] whose names
stand in the tensor's parameters; what has no fixed shape is JSON in BYTES.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from kft import __version__
from kft.serve.answering import ModelRequest, Server, answer
from kft.serve.batching import Answer
from kft.serve.documents import ERRORS, json_body
from kft.serve.limits import Refused, wrong
from kft.serve.models import LoadedVersion, find
from kft.serve.reading import JSON, dump, parse

NAMES = {"text": ("text",), "text-pair": ("text", "text_pair"), "image": ("image",)}
"""The input tensors, by what a model reads."""


class Tensor(BaseModel):
    """An input tensor."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    datatype: str
    shape: list[int] = Field(max_length=8)
    data: list[Any]
    parameters: dict[str, Any] | None = None


class WantedOutput(BaseModel):
    """An output tensor that is asked for."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    parameters: dict[str, Any] | None = None


class InferenceRequest(BaseModel):
    """The body of a request to infer."""

    model_config = ConfigDict(extra="forbid", strict=True, title="InferenceRequest")

    id: str | None = Field(None, description="Comes back with the answer.")
    parameters: dict[str, Any] | None = None
    inputs: list[Tensor] = Field(min_length=1, max_length=2)
    outputs: list[WantedOutput] | None = None


def read_tensors(asked: InferenceRequest, reads: str) -> list[Any]:
    """Returns the inputs that tensors hold.

    Args:
        asked: The request.
        reads: What the model reads.

    Raises:
        Refused: A tensor is missing, has another type, or is not of the shape it names.
    """
    names = NAMES[reads]
    given = {tensor.name: tensor for tensor in asked.inputs}
    if len(given) != len(asked.inputs) or set(given) != set(names):
        raise wrong(f"inputs: this model takes the tensors {' and '.join(names)}, once each")
    columns = [_column(given[name], reads) for name in names]
    if len({len(column) for column in columns}) > 1:
        raise wrong("inputs: the tensors have to be of one length")
    return columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))


def _column(tensor: Tensor, reads: str) -> list[Any]:
    where = f"input {tensor.name}"
    if tensor.datatype != "BYTES":
        raise wrong(f"{where}: datatype has to be BYTES")
    values = tensor.data
    if values and all(isinstance(value, list) and len(value) == 1 for value in values):  # [n, 1], nested
        values = [value[0] for value in values]
    if tensor.shape not in ([len(values)], [len(values), 1]):
        raise wrong(f"{where}: shape has to be [n] or [n, 1], with n the {len(values):,} elements of data")
    if not values:
        raise wrong(f"{where}: data is empty")
    if not all(isinstance(value, str) for value in values):
        raise wrong(f"{where}: an element of BYTES is a text")
    coded = (tensor.parameters or {}).get("content_type") == "base64" and reads != "image"
    return [_text(value, where) for value in values] if coded else values


def _text(value: str, where: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError):
        raise wrong(f"{where}: an element is no text in base64") from None


def as_tensors(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """Returns answers as output tensors, one a field.

    Example:
        >>> as_tensors([{"label": "spam", "probabilities": {"ham": 0.1, "spam": 0.9}}])[1]["data"]
        [0.1, 0.9]
    """
    whole = [{**each, "why": each.get("why", "")} for each in answers]  # the same tensors, whether some are withheld
    return [_tensor(name, [each[name] for each in whole]) for name in whole[0]]


def _tensor(name: str, values: list[Any]) -> dict[str, Any]:
    first, count = values[0], len(values)
    about: dict[str, Any]
    if isinstance(first, bool):
        return {"name": name, "datatype": "BOOL", "shape": [count], "data": values}
    if isinstance(first, (int, float)):
        return {"name": name, "datatype": "FP64", "shape": [count], "data": [float(value) for value in values]}
    if isinstance(first, str):
        return {"name": name, "datatype": "BYTES", "shape": [count], "data": values}
    if _named_numbers(values):
        data = [value[label] for value in values for label in first]
        shape, about = [count, len(first)], {"labels": list(first)}
        return {"name": name, "datatype": "FP64", "shape": shape, "parameters": about, "data": data}
    texts = [json.dumps(value, ensure_ascii=False) for value in values]
    about = {"content_type": JSON}
    return {"name": name, "datatype": "BYTES", "shape": [count], "parameters": about, "data": texts}


def _named_numbers(values: Sequence[Any]) -> bool:
    """Whether all are mappings of the same names to numbers."""
    return all(
        isinstance(value, Mapping)
        and value.keys() == values[0].keys()
        and all(isinstance(number, (int, float)) for number in value.values())
        for value in values
    )


def about_model(version: LoadedVersion) -> dict[str, Any]:
    """Returns the metadata of a model."""
    inputs = [{"name": name, "datatype": "BYTES", "shape": [-1]} for name in NAMES[version.reads]]
    tensors = as_tensors([version.example])
    outputs = [{**tensor, "shape": [-1, *tensor["shape"][1:]]} for tensor in tensors]
    return {
        "name": version.name,
        "versions": [version.version],
        "platform": "kft",
        "inputs": inputs,
        "outputs": [{key: value for key, value in tensor.items() if key != "data"} for tensor in outputs],
    }


def _chosen(tensors: list[dict[str, Any]], wanted: Sequence[WantedOutput] | None) -> list[dict[str, Any]]:
    if not wanted:
        return tensors
    here = {tensor["name"]: tensor for tensor in tensors}
    if any(output.name not in here for output in wanted):
        raise wrong(f"outputs: there are {', '.join(here)}")
    return [here[output.name] for output in wanted]


def make_router(server: Server) -> APIRouter:
    """Returns the routes below /v2."""
    router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"], responses=ERRORS)

    @router.get("", summary="What this server is")
    async def about() -> dict[str, Any]:
        return {"name": "kft", "version": __version__, "extensions": []}

    @router.get("/health/live", summary="Whether the server runs")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @router.get("/health/ready", summary="Whether all models answer")
    async def ready() -> dict[str, bool]:
        return {"ready": True}

    def version_of(model: str, version: str | None) -> LoadedVersion:
        return find(server.models, model).require_version(version)

    @router.get("/models/{model}", summary="What a model takes and gives")
    @router.get("/models/{model}/versions/{version}", summary="What a version takes and gives")
    async def metadata(model: str, version: str | None = None) -> dict[str, Any]:
        return about_model(version_of(model, version))

    @router.get("/models/{model}/ready", summary="Whether a model answers")
    @router.get("/models/{model}/versions/{version}/ready", summary="Whether a version answers")
    async def model_ready(model: str, version: str | None = None) -> dict[str, Any]:
        found = version_of(model, version)
        return {"name": found.name, "ready": True}

    async def infer(request: Request, model: str, version: str | None = None) -> Response:
        visit = request.state.visit
        if "inference-header-content-length" in request.headers:
            raise Refused(415, "binary tensors are not read; send JSON", kind="invalid")
        asked = parse(InferenceRequest, await request.body())
        reads = version_of(model, version).reads
        question = ModelRequest(model, read_tensors(asked, reads), reads, version)
        found = await answer(server, question, visit)
        body: dict[str, Any] = {"model_name": found.version.name, "model_version": found.version.version}
        if asked.id is not None:
            body["id"] = asked.id
        if found.told:
            body["parameters"] = found.told
        outputs = _chosen(as_tensors(found.answers), asked.outputs)
        return Response(dump({**body, "outputs": outputs}), media_type=JSON)

    for path, name in (
        ("/models/{model}/infer", "infer"),
        ("/models/{model}/versions/{version}/infer", "infer_version"),
    ):
        router.post(path, summary="Answers", operation_id=name, openapi_extra=json_body(InferenceRequest))(infer)
    return router
