"""The process: a port, a token, a shelf that is followed, and a shutdown that loses nothing."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

import kft
from kft.cli.main import run
from kft.deploy.shelf import Wish, promote
from kft.deploy.standing import parse_reference
from kft.errors import UsageError
from kft.serve.running import read_token
from tests.serve.shipped import write_shipped
from tests.waiting import wait_until

TEXT = json.dumps({"texts": ["the battery is superb", "awful phone"]})


class Load:
    """Threads that ask as fast as they are answered; status, version and length of each answer."""

    def __init__(self, port, count=4):
        self.answers, self.unanswered, self.stop = [], 0, threading.Event()
        self.threads = [threading.Thread(target=self.ask, args=(port,)) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def ask(self, port):
        while not self.stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            try:
                connection.request("POST", "/predict", TEXT, {"Content-Type": "application/json"})
                response = connection.getresponse()
                body = json.loads(response.read())
                self.answers.append((response.status, body.get("version"), len(body.get("predictions", ()))))
            except (ConnectionError, http.client.HTTPException):
                self.unanswered += 1
                if self.unanswered > 100:
                    return
            finally:
                connection.close()


def start(*arguments, cwd, errors):
    process = subprocess.Popen(
        [sys.executable, "-m", "kft.cli.main", "serve", *arguments, "--port", "0", "--json"],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    about = process.stdout.readline()
    assert about, errors.name
    return process, json.loads(about)


def test_a_version_takes_over_and_a_shutdown_comes_under_load_and_no_request_is_lost(tmp_path):
    to = parse_reference(str(tmp_path / "shelf" / "tickets"))
    promote(str(write_shipped(tmp_path / "a", seed=1)), to, Wish())
    log = tmp_path / "log"
    with log.open("w") as errors:
        process, about = start(
            "shelf/tickets", "--follow-seconds", "0.05", "--target-ms", "30000", cwd=tmp_path, errors=errors
        )
        try:
            # The artifact calls itself reviews: what a person sees is the shelf's name.
            (model,) = about["models"]
            assert (model["name"], model["from"], about["token"]) == ("tickets", "shelf/tickets", False)
            load = Load(int(about["url"].rpartition(":")[2]))
            wait_until(lambda: len(load.answers) > 20)
            promote(str(write_shipped(tmp_path / "b", seed=2)), to, Wish())
            wait_until(lambda: load.answers[-1][1] != model["version"])
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 143
        finally:
            process.kill()
            process.stdout.close()
    load.stop.set()
    for thread in load.threads:
        thread.join()
    assert {(status, count) for status, _, count in load.answers} == {(200, 2)}
    versions = [version for _, version, _ in load.answers]
    assert len(set(versions)) == 2
    *lines, last = log.read_text().splitlines()
    notes = [json.loads(line) for line in lines if line.startswith("{")]
    assert last == "stopped" and "Traceback" not in log.read_text()
    # Every request that the server let in was answered, and whoever asked got the answer.
    assert [note["status"] for note in notes] == [200] * len(load.answers)
    assert sum("answers instead of" in line for line in lines) == 1


def refused(capsys, *arguments):
    assert run(["serve", *map(str, arguments)]) == 2
    return capsys.readouterr().err


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    return write_shipped(tmp_path_factory.mktemp("artifact") / "reviews")


def test_a_port_that_is_taken(artifact, capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        said = refused(capsys, artifact, "--port", other.getsockname()[1])
    assert "the port is in use" in said and "kft serve ... --port 0 takes any that is free" in said


def test_a_host_that_others_reach_needs_a_token(artifact, capsys, monkeypatch):
    monkeypatch.delenv("KFT_TOKEN", raising=False)
    for host in ("0.0.0.0", "::", "10.1.2.3"):
        said = refused(capsys, artifact, "--host", host)
        assert "a server that other machines reach needs a token" in said and "openssl rand -hex 32" in said
    said = refused(capsys, artifact, "--host", "0.0.0.0", "--token-file", artifact / "missing")
    assert "the token cannot be read" in said


def test_what_is_no_artifact(tmp_path, capsys):
    said = refused(capsys, tmp_path / "shelf" / "nothing", "--port", 0)
    assert "neither an artifact nor a name on a shelf" in said and "kft promote ARTIFACT NAME" in said
    (tmp_path / "recipe.yaml").write_text("")
    assert "kft export" in refused(capsys, tmp_path, "--port", 0)


def test_an_artifact_that_was_changed_is_not_served(tmp_path, capsys):
    folder = write_shipped(tmp_path / "a")
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes()[:-1] + b"x")
    assert "model.onnx was changed" in refused(capsys, folder, "--port", 0)


def test_two_models_of_one_name(artifact, capsys):
    said = refused(capsys, artifact, artifact, "--port", 0)
    assert "two models are called reviews" in said and f"OTHER={artifact}" in said


def test_tokens(tmp_path):
    file = tmp_path / "token"
    file.write_text("  secret\n")
    assert read_token(file, {"KFT_TOKEN": "other"}) == "secret"
    assert read_token(None, {"KFT_TOKEN": "other"}) == "other" and read_token(None, {}) == ""
    for text in ("", "\n", "two words", "two\nlines", "grün", "a\x00b"):
        file.write_text(text)
        with pytest.raises(UsageError, match="the token cannot be used"):
            read_token(file, {})
    with pytest.raises(UsageError, match="the token cannot be read"):
        read_token(tmp_path / "missing", {})
    with pytest.raises(UsageError, match="the token cannot be used"):
        read_token(None, {"KFT_TOKEN": " "})


def test_limits_are_refused_by_name(artifact):
    with pytest.raises(UsageError, match="unknown limit 'token'; did you mean 'tokens'"):
        kft.serve(artifact, limits={"token": 1})
    with pytest.raises(UsageError, match="larger than 0"):
        kft.serve(artifact, limits={"seconds": 0})


def test_without_its_extra_it_says_how_to_install_it(artifact, monkeypatch):
    monkeypatch.setattr("kft.api.serving.NEEDS", ("no_such_package",))
    with pytest.raises(UsageError, match="packages that are not installed") as error:
        kft.serve(artifact)
    assert error.value.next_step == "pip install 'kft[serve]'"
