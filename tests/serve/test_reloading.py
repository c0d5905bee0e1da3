"""An alias that moves: another version takes over, no request is lost, no answer mixes two."""

import os
import threading
from pathlib import Path

from starlette.testclient import TestClient

from kft.serve.guard import Log
from kft.serve.limits import Limits
from kft.serve.models import Following
from tests.serve.linear import load_linear, make_server, write_model
from tests.waiting import wait_until


class Alias:
    """A file that names a folder, as a shelf has it: moved whole or not at all."""

    def __init__(self, folder):
        self.file = folder / "champion"
        self.asked = 0

    def point(self, folder):
        fresh = self.file.with_suffix(".new")
        fresh.write_text(str(folder))
        os.replace(fresh, self.file)

    def resolve(self, source):
        self.asked += 1
        return Path(self.file.read_text())


def version(root, number):
    """A version whose labels name it."""
    labels = [f"{number}-{side}" for side in ("left", "right")]
    return write_model(root / str(number), version=str(number), labels=labels, seed=number, seconds_a_batch=0.002)


def test_an_alias_moves_fifty_times_under_load(tmp_path):
    alias, lines = Alias(tmp_path), []
    folders = [version(tmp_path, number) for number in range(2)]
    alias.point(folders[0])
    following = Following(alias.resolve, load_linear, seconds=0.002)
    log, limits = Log(lines.append, requests=False), Limits(target_seconds=60)
    server = make_server(tmp_path / "shelf", following=following, log=log, limits=limits)
    with TestClient(server) as ask:
        stop, answers = threading.Event(), []

        def load():
            while not stop.is_set():
                answers.append(ask.post("/predict", json={"texts": ["a", "b", "c"]}))

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        for move in range(1, 51):
            alias.point(folders[move % 2])
            wait_until(lambda move=move: len(lines) == move)
        stop.set()
        for thread in threads:
            thread.join()
        metrics = ask.get("/metrics").text
    assert len(answers) >= 50
    assert {response.status_code for response in answers} == {200}
    bodies = [response.json() for response in answers]
    assert {body["version"] for body in bodies} == {"0", "1"}
    for body in bodies:
        assert {each["label"].partition("-")[0] for each in body["predictions"]} == {body["version"]}
    assert lines[0].endswith("version 1 answers instead of 0; none of the labels of the model before, such as 0-left")
    assert 'kft_model_reloads_total{model="spam",result="done"} 50.0' in metrics
    assert 'version="0"} 1.0' in metrics and 'version="1"' not in metrics


def test_a_log_on_a_full_disk_holds_up_neither_answers_nor_an_alias(tmp_path):
    alias = Alias(tmp_path)
    alias.point(version(tmp_path, 1))
    following = Following(alias.resolve, load_linear, seconds=0.001)
    with open("/dev/full", "wb", buffering=0) as full:
        log = Log(lambda line: full.write(line.encode()))
        with TestClient(make_server(tmp_path / "shelf", following=following, log=log)) as ask:
            for number in (2, 1, 2):
                alias.point(version(tmp_path, number))
                wait_until(lambda number=number: ask.get("/models").json()[0]["version"] == str(number))


def test_a_version_that_cannot_be_loaded_leaves_the_other_in_place_and_is_said_once(tmp_path):
    alias, lines = Alias(tmp_path), []
    alias.point(version(tmp_path, 1))
    following = Following(alias.resolve, load_linear, seconds=0.001)
    server = make_server(tmp_path / "shelf", following=following, log=Log(lines.append, requests=False))
    with TestClient(server) as ask:
        alias.point(tmp_path / "missing")
        wait_until(lambda: lines)
        asked = alias.asked
        wait_until(lambda: alias.asked > asked + 20)
        assert ask.post("/predict", json={"text": "a"}).json()["version"] == "1"
        assert ask.get("/v2/health/ready").status_code == 200
        assert len(lines) == 1 and lines[0].endswith("is not reloaded, version 1 goes on: the artifact cannot be read")
        alias.point(version(tmp_path, 2))
        wait_until(lambda: len(lines) == 2)
        assert ask.post("/predict", json={"text": "a"}).json()["version"] == "2"
        alias.file.unlink()
        wait_until(lambda: len(lines) == 3)
        assert ask.post("/predict", json={"text": "a"}).json()["version"] == "2"
