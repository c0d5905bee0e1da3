"""--webhook: one POST of JSON on an alarm; what goes wrong is told, and raises nothing."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from kft.errors import UsageError
from kft.monitor import webhook
from kft.monitor.webhook import TRIES, message_of, post, require_webhook
from tests.watched import watched


class Receiver(ThreadingHTTPServer):
    """Answers with one code after another, the last of them from then on; keeps what came."""

    daemon_threads = True

    def __init__(self, *codes):
        self.codes, self.bodies, self.types = list(codes), [], []
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/hooks/secret"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        server = self.server
        server.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        server.types.append(self.headers["Content-Type"])
        code = server.codes.pop(0) if len(server.codes) > 1 else server.codes[0]
        self.send_response(code)
        if code == 302:
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def receiver():
    made = []

    def make(*codes):
        made.append(Receiver(*codes))
        return made[-1]

    yield make
    for each in made:
        each.shutdown()
        each.server_close()


def test_an_alarm_is_posted_once_as_json(receiver, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # what goes to this machine goes through no proxy
    server, result = receiver(204), watched()
    delivered = post(server.url, message_of(result), pause=pytest.fail)
    assert (delivered.tries, delivered.problem, delivered.line) == (1, "", "127.0.0.1 was told")
    (body,) = server.bodies
    assert server.types == ["application/json"]
    assert [alarm["gauge"] for alarm in body["alarms"]] == list(result.alarms) and len(result.alarms) == 3
    assert body["event"] == "drift" and body["text"].startswith("product_reviews, version 3f9c2a7d1b20, has drifted: ")
    first = body["alarms"][0]
    assert first["evidence"] > first["alarm_at"] and first["first_alarm"] >= first["since"]
    assert first["change"]["low"] < first["change"]["value"] < first["change"]["high"]


def test_nothing_of_the_rows_is_in_it():
    said = "most has come from 'a customer wrote this'"
    result = watched()
    gauges = tuple(type(gauge)(**{**vars(gauge), "said": said}) for gauge in result.gauges)
    text = json.dumps(message_of(watched(gauges=gauges, data="/home/jane/rows.csv")))
    assert "customer" not in text and "jane" not in text


def test_the_same_alarms_have_the_same_id():
    one, other = watched(), watched(rows=90)
    assert message_of(one)["id"] == message_of(watched())["id"] != message_of(watched(version="4"))["id"]
    assert message_of(one)["id"] == message_of(other)["id"]


@pytest.mark.parametrize(
    ("codes", "tries", "problem"),
    [
        ((503, 429, 200), 3, ""),
        ((500,), TRIES, "it answered 500"),
        ((404,), 1, "it answered 404"),
        ((302,), 1, "it answered 302"),
    ],
)
def test_it_is_tried_again_where_that_may_help(receiver, codes, tries, problem):
    server, pauses = receiver(*codes), []
    delivered = post(server.url, {}, pauses.append)
    assert (delivered.tries, delivered.problem, len(server.bodies)) == (tries, problem, tries)
    assert len(pauses) == tries - 1
    assert "secret" not in delivered.line


def test_a_host_that_is_not_there_is_told(receiver):
    server = receiver(200)
    server.shutdown()
    server.server_close()
    delivered = post(server.url, {}, lambda seconds: None)
    assert delivered.tries == TRIES and delivered.problem
    assert (
        delivered.line.startswith(f"127.0.0.1 was not told, after {TRIES} tries: ") and "secret" not in delivered.line
    )
    delivered = post(f"https://{'a' * 70}.invalid/secret", {}, lambda seconds: None)
    assert delivered.problem and "secret" not in delivered.line


def test_one_that_never_answers_is_given_up(monkeypatch):
    monkeypatch.setattr(webhook, "SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        delivered = post(f"http://127.0.0.1:{silent.getsockname()[1]}/", {}, lambda seconds: None)
    assert (
        delivered.tries == TRIES and "timed out" in delivered.problem.lower()
    ) or delivered.problem == "TimeoutError"


@pytest.mark.parametrize(
    "url", ["https://hooks.example.com/T0/B0", "http://localhost:9000/x", "http://127.8.8.8/", "http://[::1]:80/"]
)
def test_addresses_that_may_be_posted_to(url):
    assert require_webhook(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/x",
        "http://10.0.0.1/",
        "http://localhost.example.com/",
        "ftp://example.com/x",
        "file:///etc/passwd",
        "https://",
        "https://jane:pass@example.com/",
        "http://localhost@example.com/",
        "https://example.com/a b",
        "https://example.com/\n",
        "https://exämple.com/",
        "https://example.com:99999/",
        "https://[1/",
        "example.com",
        "",
    ],
)
def test_other_addresses_are_refused(url):
    with pytest.raises(UsageError, match="no alarm can be sent to this address") as error:
        require_webhook(url)
    assert "pass" not in str(error.value)
