"""POST /search: answers, what is refused, and a server without an index."""

import pandas as pd
import pytest
from starlette.testclient import TestClient

import kft
from kft.serve.limits import Limits
from tests.search import made
from tests.serve.linear import make_server, write_model


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    ids, texts = made.rows(8)
    model = made.write_model(folder / "model")
    kft.index(model, pd.DataFrame({"id": ids, "text": texts}), folder / "index", quiet=True)
    index = kft.open_index(folder / "index").index
    with TestClient(make_server(write_model(folder / "spam-1"), limits=Limits(tokens=10), index=index)) as client:
        yield lambda **body: client.post("/search", json=body)


def test_documents_come_as_kft_search_prints_them(search):
    answer = search(query="number5", k=2)
    assert answer.status_code == 200
    found = answer.json()
    assert found["results"][0]["document"] == "d5" and len(found["results"]) == 2
    assert found["abstain"] is None and found["results"][0]["text"].endswith("number5.")


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"query": "a", "k": 0}, 422, "k: "),
        ({"query": "a", "n": 1}, 422, "unknown key"),
        ({"k": 1}, 422, "query: field required"),
        ({"query": "  "}, 422, "the query is empty"),
        ({"query": "a" * 161}, 413, "the query is longer than 10 tokens can be"),
    ],
)
def test_what_is_refused(search, body, status, reason):
    answer = search(**body)
    assert answer.status_code == status and reason in answer.json()["error"]


def test_without_an_index_there_is_no_such_path(ask):
    assert ask.post("/search", json={"query": "a"}).status_code == 404
