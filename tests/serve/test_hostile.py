"""Whatever is sent, the answer has a documented code: schemathesis against our own document, and broken bodies."""

import json
import random

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from starlette.testclient import TestClient

from kft.serve.documents import REFUSALS
from kft.serve.limits import Limits
from tests.serve.linear import make_server, write_model

QUIETLY = settings(
    max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
CODES = {200, *REFUSALS} - {500}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    kinds = {"spam": "text", "pairs": "text-pair", "photos": "image"}
    folders = [write_model(root / name, name=name, kind=kind) for name, kind in kinds.items()]
    return make_server(*folders, limits=Limits(body_bytes=100_000, tokens=500, target_seconds=60))


@pytest.fixture(scope="module")
def ask(server):
    with TestClient(server) as client:
        yield client


def broken(rng, png):
    """Returns a path, headers and a body that is nearly right, or not at all."""
    inputs = [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a text"]}]
    right = json.dumps(rng.choice([{"text": "a"}, {"texts": ["a", "b"]}, {"id": "1", "inputs": inputs}])).encode()
    body = bytearray(rng.choice([right, right, png, b'{"image": "' + b"QUJD" * 9 + b'"}', b"[" * 5000, b""]))
    for _ in range(rng.randrange(4)):
        kind, place = rng.randrange(4), rng.randrange(len(body) + 1)
        if kind == 0:
            body[place:place] = rng.choice(
                [b"\x00", b"\xff\xfe", b'"\\ud800"', b"1e999", b"NaN", b"{}", b",", b"null", b"\xf0\x9f\x98\x80" * 50]
            )
        elif kind == 1:
            del body[place : place + rng.randrange(1, 9)]
        elif kind == 2 and place < len(body):
            body[place] = rng.randrange(256)
        else:
            body *= 2
    paths = [
        "/predict",
        "/v2/models/spam/infer",
        "/v2/models/photos/infer",
        "/v2/models/%00%ff/infer",
        "/v2/models/../x",
    ]
    types = ["application/json", "multipart/form-data; boundary=x", "multipart/form-data", "text/plain", "\xff", ""]
    content = rng.choice(types[:1] * 4 + types)
    if content.endswith("=x") and rng.random() < 0.8:
        name = rng.choice([b"image", b"text", b"model", b"other"])
        head = b'--x\r\nContent-Disposition: form-data; name="' + name + rng.choice([b'"; filename="a"', b'"'])
        body = bytearray(head + b"\r\n\r\n" + bytes(body) + rng.choice([b"\r\n--x--\r\n", b"", b"\r\n--x\r\n"]))
    return rng.choice(paths), {"Content-Type": content.encode("latin-1")}, bytes(body)


# Starlette leaves the file of a part that never ends to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_thousand_broken_bodies_images_and_ids_have_documented_codes(ask, png):
    rng, codes = random.Random(1), []
    for _ in range(1000):
        path, headers, body = broken(rng, png)
        response = ask.post(path, content=body, headers=headers)
        codes.append(response.status_code)
        assert response.status_code in CODES, (path, headers, body[:300])
        if response.status_code != 200:
            assert set(response.json()) == {"error"}
    assert {200, 404, 415, 422} <= set(codes)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_schemathesis_finds_no_answer_that_the_document_does_not_know(server, mode):
    """Every operation, with what the document allows and with what it does not: no 500, no code of its own."""
    found = [
        operation.ok() for operation in schemathesis.openapi.from_asgi("/openapi.json", server).get_all_operations()
    ]
    assert len(found) == 12
    seen = set()
    for operation in found:

        @QUIETLY
        @given(case=operation.as_strategy(generation_mode=mode))
        def each(case):
            response = case.call()
            seen.add(response.status_code)
            assert response.status_code in CODES, (case.method, case.path, response.status_code, response.text[:300])

        try:
            each()
        except Unsatisfiable:  # nothing about it can be wrong
            continue
    assert 200 in seen or mode is schemathesis.GenerationMode.NEGATIVE
