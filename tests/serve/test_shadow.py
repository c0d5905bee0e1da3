"""--shadow: a challenger answers beside the champion, whose answers it neither changes, nor slows, nor fails."""

import json
import os
import sys
import threading
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from kft.cli.main import run
from kft.deploy.shelf import Wish, promote
from kft.deploy.standing import parse_reference
from kft.errors import UsageError
from kft.serve.guard import Log
from kft.serve.measures import Measures
from kft.serve.models import Followed, Following
from kft.serve.recording import RecordLimits, SampleRecorder
from kft.serve.shadow import Shadow, ShadowLimits, decided, gently, require_alike
from tests.serve.linear import load_linear, make_server, write_model
from tests.serve.shipped import write_shipped
from tests.waiting import wait_until

TEXTS = ["a", "bb", "some words", "other words", "zzz"]
ALL = RecordLimits(a_second=1e9)


def counted(ask, name):
    (line,) = [each for each in ask.get("/metrics").text.splitlines() if each.startswith(f"kft_shadow_{name}_total")]
    return float(line.split()[-1])


def kept(folder):
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]


@pytest.fixture
def pair(tmp_path):
    """A champion and a challenger that answers otherwise."""
    return write_model(tmp_path / "1"), write_model(tmp_path / "2", version="2", seed=5)


def test_what_both_said_is_counted_and_kept_and_the_champion_alone_answers(tmp_path, pair):
    champion, challenger = pair
    first, said = (load_linear(folder, "").predict(TEXTS) for folder in pair)
    differ = sum(decided(one) != decided(other) for one, other in zip(first, said, strict=True))
    assert 0 < differ < len(TEXTS)
    recorder = SampleRecorder(tmp_path / "kept", pytest.fail, ALL)
    with TestClient(make_server(champion, shadow=challenger, recorder=recorder)) as ask:
        for text, expected in zip(TEXTS, first, strict=True):
            answer = ask.post("/predict", json={"text": text}).json()
            assert {"model": "spam", "version": "1", **expected} == answer
            wait_until(lambda text=text: counted(ask, "answers") == TEXTS.index(text) + 1)
        assert counted(ask, "disagreements") == differ
        assert counted(ask, "errors") == counted(ask, "dropped") == 0
        assert 'kft_shadow_version_info{model="spam",version="2"} 1.0' in ask.get("/metrics").text
    lines = kept(tmp_path / "kept")
    assert [line["version"] for line in lines] == ["1"] * len(TEXTS)
    assert [line["shadow"] for line in lines] == [{"version": "2", "answer": answer} for answer in said]


def test_a_challenger_that_raises_changes_no_answer_and_is_told_once(tmp_path):
    champion = write_model(tmp_path / "1")
    fails = write_model(tmp_path / "2", version="2", kind="image")  # which no text is
    recorder, lines = SampleRecorder(tmp_path / "kept", pytest.fail, ALL), []
    with TestClient(make_server(champion)) as ask:
        alone = [ask.post("/predict", json={"text": text}).json() for text in ("a", "jane@example.com")]
    app = make_server(champion, shadow=fails, recorder=recorder, log=Log(lines.append, requests=False))
    with TestClient(app) as ask:
        assert [ask.post("/predict", json={"text": text}).json() for text in ("a", "jane@example.com")] == alone
        wait_until(lambda: counted(ask, "errors") == 2)
        assert counted(ask, "answers") == 0
    assert lines == [f"shadow: {fails}, version 2, fails: TypeError"]
    assert [line["shadow"] for line in kept(tmp_path / "kept")] == [{"version": "2", "answer": None}] * 2


def test_a_challenger_that_hangs_delays_nobody_and_what_it_does_not_come_to_is_dropped(tmp_path, pair):
    champion, challenger = pair
    recorder = SampleRecorder(tmp_path / "kept", pytest.fail, ALL)
    limits = ShadowLimits(inputs=3, seconds=0.01)
    app = make_server(champion, shadow=challenger, shadow_limits=limits, recorder=recorder)
    with TestClient(app) as ask:
        (challenger / "hangs").touch()
        for _ in range(10):
            assert ask.post("/predict", json={"text": "a"}).json()["version"] == "1"
        assert counted(ask, "answers") == 0
        wait_until(lambda: counted(ask, "dropped") == 7)
    (challenger / "hangs").unlink()
    lines = kept(tmp_path / "kept")
    assert len(lines) == 10 and not any("shadow" in line for line in lines)


def test_bytes_that_wait_are_bounded_too_and_one_request_alone_is_always_taken(tmp_path, pair):
    champion, challenger = pair
    app = make_server(champion, shadow=challenger, shadow_limits=ShadowLimits(inputs=2, bytes=100))
    with TestClient(app) as ask:
        ask.post("/predict", json={"texts": ["a" * 20] * 40})
        wait_until(lambda: counted(ask, "answers") == 40)
        (challenger / "hangs").touch()
        ask.post("/predict", json={"text": "a" * 20})
        ask.post("/predict", json={"text": "a" * 20})
        wait_until(lambda: counted(ask, "dropped") == 1)
        (challenger / "hangs").unlink()
        wait_until(lambda: counted(ask, "answers") == 41)


def test_it_computes_only_while_the_champion_does_not(pair):
    champion, challenger = (load_linear(folder, "") for folder in pair)
    asked, busy = [], threading.Event()
    busy.set()

    def idle():
        asked.append(None)
        return not busy.is_set()

    shadow = Shadow(Followed("challenger", challenger, moves=False), idle, Measures().shadows, pytest.fail)
    beside = shadow.offer(champion, ["a"], champion.predict(["a"]))
    wait_until(lambda: len(asked) > 5)
    assert not beside.done()
    busy.clear()
    assert beside.result(30).version == "2"
    shadow.close()
    assert shadow.offer(champion, ["a"], champion.predict(["a"])) is None


def test_the_alias_of_a_challenger_moves(tmp_path, pair):
    champion, challenger = pair
    places, lines = {str(champion): champion, "challenger": challenger}, []
    following = Following(lambda source: places[source], load_linear, seconds=0.002)
    server = make_server(champion, shadow="challenger", following=following, log=Log(lines.append, requests=False))
    with TestClient(server) as ask:

        def version_beside():
            return ask.get("/metrics").text.partition('kft_shadow_version_info{model="spam",version="')[2][0]

        assert version_beside() == "2"
        places["challenger"] = write_model(tmp_path / "3", version="3", seed=7)
        wait_until(lambda: version_beside() == "3")
        places["challenger"] = write_model(tmp_path / "4", version="4", kind="image")
        wait_until(lambda: len(lines) == 2)
        assert version_beside() == "3"
        assert lines == [
            "shadow: challenger: version 3 answers instead of 2",
            "shadow: challenger is not reloaded, version 3 goes on: "
            "a challenger has to read and to answer what the model does",
        ]
        assert 'kft_shadow_reloads_total{model="spam",result="failed"} 1.0' in ask.get("/metrics").text
        # It wins: then there is nothing to compare.
        places[str(champion)] = tmp_path / "3"
        wait_until(lambda: ask.post("/predict", json={"text": "a"}).json()["version"] == "3")
        answers = counted(ask, "answers")
        ask.post("/predict", json={"text": "a"})
        assert counted(ask, "answers") == answers and counted(ask, "dropped") == 0


def test_answers_decide_by_what_they_name():
    assert decided({"label": "a", "abstain": True}) == decided({"label": "b", "abstain": True}) is None
    assert decided({"label": "a", "abstain": True}) != decided({"label": "a", "abstain": False})
    assert decided({"labels": ["a", "b"]}) == decided({"labels": ["b", "a"]}) != decided({"labels": ["a"]})
    span = {"start": 0, "end": 2, "label": "name", "confidence": 0.9, "text": "Jo"}
    assert decided({"spans": [span]}) == decided({"spans": [span | {"confidence": 0.5}]}) != decided({"spans": []})


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread has no niceness of its own")
def test_its_threads_and_those_that_they_start_come_last_for_a_core():
    def niceness():
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    found = []

    def load():
        inner = threading.Thread(target=lambda: found.append(niceness()))
        inner.start()
        inner.join()
        return niceness()

    before = niceness()
    assert gently(load) == 19 and found == [19] and niceness() == before
    with pytest.raises(ZeroDivisionError):
        gently(lambda: 1 / 0)


def refused(capsys, *arguments):
    assert run(["serve", *map(str, arguments), "--port", "0"]) == 2
    return capsys.readouterr().err


def test_a_challenger_that_is_missing_or_of_another_kind_is_told_at_start(tmp_path, capsys):
    to = parse_reference(str(tmp_path / "shelf" / "reviews"))
    artifact = write_shipped(tmp_path / "a")
    promote(str(artifact), to, Wish())
    said = refused(capsys, tmp_path / "shelf/reviews", "--shadow", tmp_path / "shelf/reviews@challenger")
    assert "reviews has no challenger" in said and "kft versions reviews" in said
    said = refused(capsys, artifact, "--shadow", f"other={write_shipped(tmp_path / 'b', seed=2)}")
    assert "no model is called other" in said and f"--shadow reviews={tmp_path / 'b'}" in said
    said = refused(capsys, artifact, "--shadow", tmp_path / "b", "--shadow", tmp_path / "b")
    assert "reviews has two shadows" in said
    number = write_shipped(tmp_path / "c", task="text-regression")
    said = refused(capsys, artifact, "--shadow", number)
    assert "a challenger has to read and to answer what the model does" in said
    assert "received: text-regression on text" in said


def test_a_challenger_whose_answers_cannot_be_counted_is_refused(tmp_path):
    champion, other = (load_linear(write_model(tmp_path / name), name) for name in ("a", "b"))
    assert require_alike(other, champion) is other
    assert require_alike(replace(other, labels=(*other.labels, "new")), champion).labels[-1] == "new"
    with pytest.raises(UsageError, match="none of the model's labels: each answer would count as another one"):
        require_alike(replace(other, labels=tuple(map(str.upper, other.labels))), champion)
    with pytest.raises(UsageError, match="vectors of two models are not compared"):
        require_alike(replace(other, labels=()), replace(champion, labels=(), example={"vector": [0.6, 0.8]}))
