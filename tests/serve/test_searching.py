"""POST /search: answers, what is refused, and a server without an index."""

import pandas as pd
import pytest
from starlette.testclient import TestClient

import kft
from kft.errors import UsageError
from kft.serve.limits import Limits
from tests.search import made
from tests.serve.browser import CHROMIUM, Browser, listening
from tests.serve.linear import make_server, write_model


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    ids, texts = made.rows(8)
    model = made.write_model(folder / "model")
    kft.index(model, pd.DataFrame({"id": ids, "text": texts}), folder / "index", quiet=True)
    return kft.open_index(folder / "index").index


@pytest.fixture(scope="module")
def search(index, tmp_path_factory):
    model = write_model(tmp_path_factory.mktemp("model") / "spam-1")
    with TestClient(make_server(model, limits=Limits(tokens=10), index=index)) as client:
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


def test_an_index_needs_no_model_beside_it(index):
    with TestClient(make_server(index=index)) as client:
        assert client.post("/search", json={"query": "number5"}).json()["results"][0]["document"] == "d5"
        refused = client.post("/predict", json={"text": "a"})
        assert (refused.status_code, client.get("/models").json()) == (404, [])
        assert refused.json()["error"] == "no model here gives labels; /docs says what can be asked"
        assert 'data-search="yes"' in client.get("/").text
    with pytest.raises(UsageError, match="there is nothing to serve") as caught:
        kft.serve()
    assert "kft serve --index DEST" in caught.value.next_step


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_page_finds_documents(index, tmp_path):
    models = [write_model(tmp_path / "spam")]
    for folders, title in (([], "Find documents"), (models, "spam")):
        with listening(make_server(*folders, index=index)) as url:
            browser = Browser(CHROMIUM, url, tmp_path)
            try:
                browser.wait(f"document.getElementById('title').textContent === {title!r}")
                if folders:
                    browser.get("at('model').value = DOCUMENTS, showModel()")
                browser.get("at('text').focus()")
                browser.type("number5")
                browser.press("Enter", 13, 2)
                shown = browser.wait("!at('answer').hidden && at('answer').innerText")
                assert shown.startswith("d5") and "number5." in shown
            finally:
                browser.close()


def test_without_an_index_there_is_no_such_path(ask):
    assert ask.post("/search", json={"query": "a"}).status_code == 404
    assert 'data-search=""' in ask.get("/").text
