"""Who is told what a monitor says: an alarm reaches all of them, and none that fails hides it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from kft.api.telling import tell, who_is_told
from kft.errors import UsageError
from tests.watched import LABELS, watched


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.code)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def receiver():
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    server.bodies, server.code, server.url = [], 200, f"http://127.0.0.1:{server.server_port}/secret"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_page_figures_and_one_post(tmp_path, receiver):
    told = who_is_told(tmp_path / "watch", tmp_path / "kft.prom", receiver.url)
    result = watched()
    said, posted = tell(result, told, LABELS)
    assert said == result
    assert "It has changed: " in (tmp_path / "watch" / "report.html").read_text()
    assert json.loads((tmp_path / "watch" / "monitor.json").read_text())["drift"] is True
    assert "kft_monitor_drift" in (tmp_path / "kft.prom").read_text()
    (body,) = receiver.bodies
    assert len(body["alarms"]) == 3 and posted and "secret" not in posted


def test_the_same_alarm_is_posted_once_and_one_that_was_not_taken_again(receiver):
    told, result = who_is_told(None, None, receiver.url), watched()
    receiver.code = 404
    _, posted = tell(result, told, LABELS)
    assert posted == ""
    receiver.code = 200
    _, posted = tell(result, told, LABELS, posted)
    said, again = tell(result, told, LABELS, posted)
    assert len(receiver.bodies) == 2 and again == posted
    assert "posted to that address before" in said.notes[-1]
    tell(result, who_is_told(None, None, f"{receiver.url}/another"), LABELS, posted)
    assert len(receiver.bodies) == 3
    tell(watched(version="4"), told, LABELS, posted)
    assert len(receiver.bodies) == 4


def test_without_an_alarm_nothing_is_posted(tmp_path, receiver):
    result = watched(shift=0.0)
    assert tell(result, who_is_told(None, tmp_path / "kft.prom", receiver.url)) == (result, "")
    assert (
        receiver.bodies == []
        and 'kft_monitor_drift{model="product_reviews"} 0.0' in (tmp_path / "kft.prom").read_text()
    )
    assert tell(result, who_is_told(None, None, None)) == (result, "")


def test_who_cannot_be_told_is_noted_and_the_others_are_told(tmp_path, receiver):
    receiver.code, pauses = 500, []
    told = who_is_told(tmp_path / "watch", tmp_path / "sub" / "kft.prom", receiver.url)
    (tmp_path / "sub").touch()  # since
    found, _ = tell(watched(), told, LABELS, pause=pauses.append)
    assert found.drift and len(receiver.bodies) == 3 and len(pauses) == 2
    assert found.notes == (
        f"{tmp_path / 'sub' / 'kft.prom'} was not written: a file cannot be written",
        "127.0.0.1 was not told, after 3 tries: it answered 500",
    )
    assert (tmp_path / "watch" / "report.html").is_file()


def test_an_alarm_is_posted_where_the_folder_cannot_be_written(tmp_path, receiver):
    told = who_is_told(tmp_path / "watch", tmp_path / "kft.prom", receiver.url)
    (tmp_path / "watch").touch()  # since
    found, _ = tell(watched(), told, LABELS)
    assert len(receiver.bodies) == 1 and (tmp_path / "kft.prom").is_file()
    assert found.drift and found.notes[0].startswith(f"{tmp_path / 'watch'} was not written")


def test_what_cannot_be_told_is_refused_before_anything_is_computed(tmp_path):
    with pytest.raises(UsageError, match="no alarm can be sent to this address"):
        who_is_told(None, None, "http://example.com/hook")
    with pytest.raises(UsageError, match="the node exporter reads no such file"):
        who_is_told(None, tmp_path / "kft.txt", None)
