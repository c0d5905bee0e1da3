"""Who may ask, and what is noted."""

import json

from starlette.testclient import TestClient

from kft.serve.guard import Access, Log
from tests.serve.linear import make_server

TOKEN = "a-long-secret"


def test_a_token_is_asked_for_everywhere_but_where_nothing_of_the_models_is_said(folder):
    with TestClient(make_server(folder, access=Access(TOKEN, local=False))) as ask:
        for path in ("/", "/docs", "/openapi.json", "/v2/health/live", "/v2/health/ready"):
            response = ask.get(path)
            assert response.status_code == 200 and "spam" not in response.text, path
        for path in ("/metrics", "/models", "/v2", "/v2/models/spam", "/v2/models/spam/ready", "/nothing"):
            response = ask.get(path)
            assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer"), path
            assert response.json() == {"error": "a bearer token is needed: Authorization: Bearer TOKEN"}
        for shown in ("Bearer wrong", f"Basic {TOKEN}", "Bearer", "", f"Bearer {TOKEN} x", "Bearer \xff"):
            headers = {"Authorization": shown.encode("latin-1")}
            assert ask.post("/predict", json={"text": "a"}, headers=headers).status_code == 401, shown
        for shown in (f"Bearer {TOKEN}", f"bearer  {TOKEN} "):
            assert ask.post("/predict", json={"text": "a"}, headers={"Authorization": shown}).status_code == 200


def test_without_a_token_only_names_of_this_machine_are_answered(folder):
    with TestClient(make_server(folder, access=Access())) as ask:
        for host, code in (("localhost:8000", 200), ("127.0.0.1", 200), ("[::1]:80", 200), ("evil.example", 421)):
            response = ask.post("/predict", json={"text": "a"}, headers={"Host": host})
            assert response.status_code == code, host
        assert response.json() == {"error": "without a token only localhost is answered"}


def test_no_contents_are_noted_unless_asked_for(folder):
    for contents in (False, True):
        lines = []
        with TestClient(make_server(folder, log=Log(lines.append, contents=contents))) as ask:
            ask.post("/predict", json={"text": "a secret\n"})
            ask.post("/predict", json={"txt": "a secret"})
            ask.get("/a-secret")
            ask.get("/v2/models/a-secret")
        (line, *_) = notes = list(map(json.loads, lines))
        assert (line["endpoint"], line["status"], line["model"], line["inputs"]) == ("predict", 200, "spam", 1)
        assert line["ms"] > 0
        assert [note["status"] for note in notes] == [200, 422, 404, 404]
        assert ("secret" in "".join(lines)) == contents
        if contents:
            assert line["asked"] == ["a secret\n"] and line["answered"][0]["label"]
            assert "\n" not in lines[0]


def test_requests_are_counted_under_few_names(folder):
    with TestClient(make_server(folder)) as ask:
        for number in range(30):
            ask.get(f"/nothing/{number}")
            ask.get(f"/v2/models/{number}")
        ask.post("/predict", json={"texts": ["1" * 9, "a", "b"]})
        ask.post("/predict", json={"txt": "a"})
        response = ask.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    lines = [line for line in response.text.splitlines() if not line.startswith("#")]
    assert all(line.startswith("kft_") for line in lines)
    for line in (
        'kft_requests_total{code="404",endpoint="other"} 30.0',
        'kft_requests_total{code="404",endpoint="models"} 30.0',
        'kft_requests_total{code="200",endpoint="predict"} 1.0',
        'kft_refused_total{why="invalid"} 1.0',
        'kft_batch_inputs_sum{model="spam"} 3.0',
        'kft_model_version_info{model="spam",version="1"} 1.0',
        "kft_requests_in_flight 1.0",
        "kft_held_bytes 0.0",
    ):
        assert line in lines
    assert len(lines) < 200
    assert any(line.startswith("kft_process_resident_memory_bytes") for line in lines)
