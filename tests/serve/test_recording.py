"""The sample that --record keeps: bounded, without personal data."""

import json
import os
import shutil
import time

import pytest
from starlette.testclient import TestClient

import kft
from kft.deploy.load import open_artifact
from kft.errors import RunError, StorageError
from kft.monitor.records import read_records
from kft.serve.loading import load_version
from kft.serve.recording import RecordLimits, SampleRecorder
from tests.serve.linear import load_linear, make_server, write_model
from tests.serve.shipped import write_shipped, write_watched

ALL = RecordLimits(a_second=1e9)


def lines(folder):
    return [
        json.loads(line) for path in sorted(folder.glob("sample-*.jsonl")) for line in path.read_text().splitlines()
    ]


def test_requests_and_answers_are_kept_without_personal_data(tmp_path, folder):
    recorder = SampleRecorder(tmp_path / "kept", pytest.fail, ALL)
    with TestClient(make_server(folder, recorder=recorder)) as ask:
        answer = ask.post("/predict", json={"text": "Write to jane@example.com or +44 20 7946 0958"}).json()
    (line,) = lines(tmp_path / "kept")
    assert line["input"] == "Write to [EMAIL] or [PHONE]"
    assert (line["model"], line["version"], line["answer"]["label"]) == ("spam", "1", answer["label"])
    assert line["at"] > 0


def test_what_the_recipe_redacts_is_what_is_redacted(tmp_path):
    model = write_model(tmp_path / "m", redact=["email"], kind="text-pair")
    recorder = SampleRecorder(tmp_path / "kept", pytest.fail, ALL)
    recorder.keep(load_linear(model, ""), [("jane@example.com", "+44 20 7946 0958")], [{"text": "jane@example.com"}])
    recorder.close()
    (line,) = lines(tmp_path / "kept")
    assert line["input"] == ["[EMAIL]", "+44 20 7946 0958"] and line["answer"] == {"text": "[EMAIL]"}


def test_of_an_image_its_hash_is_kept(tmp_path, png):
    recorder = SampleRecorder(tmp_path / "kept", pytest.fail, ALL)
    recorder.keep(load_linear(write_model(tmp_path / "m", kind="image"), ""), [png], [{"label": "a"}])
    recorder.close()
    (line,) = lines(tmp_path / "kept")
    assert set(line["input"]) == {"sha256", "bytes"} and line["input"]["bytes"] == len(png)


def test_the_sample_is_bounded(tmp_path, folder):
    version = load_linear(folder, "")
    limits = RecordLimits(a_second=1e9, a_file=3, bytes_a_file=400, files=4)
    for start in (0, 15):  # a second server goes on where the first ended
        recorder = SampleRecorder(tmp_path / "kept", pytest.fail, limits)
        for number in range(start, start + 15):
            recorder.keep(version, [f"text {number}"], [{"label": "a"}])
            while recorder._waiting:
                time.sleep(0.0005)
        recorder.close()
    files = sorted((tmp_path / "kept").iterdir())
    assert len(files) == 4
    kept = [line["input"] for line in lines(tmp_path / "kept")]
    assert len(kept) <= 12 and kept[-1] == "text 29"
    slow = SampleRecorder(tmp_path / "slow", pytest.fail, RecordLimits(a_second=1e-9))
    for number in range(100):
        slow.keep(version, [f"text {number}"], [{"label": "a"}])
    slow.close()
    assert len(lines(tmp_path / "slow")) == 1


def test_a_folder_that_cannot_be_written_is_refused_or_said_once(tmp_path, folder):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        SampleRecorder(tmp_path / "file" / "kept", pytest.fail, ALL)
    said = []
    recorder = SampleRecorder(tmp_path / "gone", said.append, ALL)
    shutil.rmtree(tmp_path / "gone")
    for _ in range(3):
        recorder.keep(load_linear(folder, ""), ["a"], [{"label": "a"}])
    recorder.close()
    assert len(said) == 1 and said[0].startswith("nothing more is recorded: ")


def test_a_second_server_is_refused_by_name_until_the_first_has_ended(tmp_path, folder):
    first = SampleRecorder(tmp_path / "kept", pytest.fail, ALL)
    with pytest.raises(RunError, match="another process is at work in this folder of records") as failed:
        SampleRecorder(tmp_path / "kept", pytest.fail, ALL)
    assert failed.value.next_step == "choose another --record FOLDER" and f"process {os.getpid()}" in str(failed.value)
    with pytest.raises(RunError, match="another process is at work in this folder of records"):
        kft.serve(folder, port=0, record=tmp_path / "kept")
    first.close()
    assert not list((tmp_path / "kept").iterdir())
    with pytest.raises(RunError, match="neither an artifact nor a name on a shelf") as held:
        kft.serve(tmp_path / "none", port=0, record=tmp_path / "kept")
    SampleRecorder(tmp_path / "kept", pytest.fail, ALL).close()  # given back while what was raised is still there
    assert held.value


def test_whatever_fails_is_said_once_without_the_text_and_answers_go_on(tmp_path, folder):
    said = []
    recorder = SampleRecorder(tmp_path / "kept", said.append, ALL)
    version = load_linear(folder, "")
    for odd in ("a secret \ud83d", {1, 2}):  # half a pair has no UTF-8, a set no JSON
        recorder.keep(version, [odd], [{"label": "a"}])
    recorder.close()
    assert said == ["nothing more is recorded: UnicodeEncodeError"]
    said.clear()
    closed = SampleRecorder(tmp_path / "closed", said.append, ALL)
    with TestClient(make_server(folder, recorder=closed)) as ask:
        assert "\nkft_recording 1.0\n" in ask.get("/metrics").text
        closed.close()
        for _ in range(3):
            assert ask.post("/predict", json={"text": "free money"}).status_code == 200
        assert "\nkft_recording 0.0\n" in ask.get("/metrics").text
    assert said == ["nothing more is recorded: RuntimeError"]


def recorded(version, folder, inputs):
    """Keeps each input by itself, as it is answered."""
    recorder = SampleRecorder(folder, pytest.fail, ALL)
    for given in inputs:
        found = (version.looking or version).predict([given])
        answers = [each.answer for each in found] if version.looking else found
        recorder.keep(version, [given], answers, None, found if version.looking else None)
        while recorder._waiting:
            time.sleep(0.0005)
    recorder.close()
    return lines(folder)


def test_what_is_seen_of_an_input_is_kept_before_personal_data_are_replaced(tmp_path):
    artifact = write_watched(tmp_path / "reviews")
    version, shipped = load_version(open_artifact, artifact, "", pytest.fail), open_artifact(artifact)
    asked = ["The battery is GREAT!", "write to jane@example.com, my awful phone", "the screen", "the screen"]
    kept = recorded(version, tmp_path / "kept", asked)
    answers, seen = shipped.see(asked)
    assert [line["answer"]["label"] for line in kept] == [answer["label"] for answer in answers]
    assert kept[1]["input"] == "write to [EMAIL], my awful phone"
    assert kept[1]["seen"]["values"]["characters"] == len(asked[1])
    (block,) = read_records(tmp_path / "kept", shipped.reference, shipped.about.version)
    assert block.inputs[1] == kept[1]["input"] and block.seen.values["copy"].tolist() == [0, 0, 0, 1]
    for name in shipped.reference.gauges:
        assert block.seen.values[name].tolist() == pytest.approx(seen.values[name].tolist(), abs=1e-4, nan_ok=True), (
            name
        )
    assert block.seen.label.tolist() == seen.label.tolist()
    assert not set(block.seen.keys) & set(seen.keys)  # no text can be found by its hash


def test_an_artifact_without_a_reference_is_recorded_without_and_that_is_said(tmp_path):
    said = []
    version = load_version(open_artifact, write_shipped(tmp_path / "reviews"), "", said.append)
    assert version.looking is None and len(said) == 1
    assert "is recorded without what kft monitor reads: this artifact cannot be watched" in said[0]
    (line,) = recorded(version, tmp_path / "kept", ["the screen"])
    assert "seen" not in line and line["input"] == "the screen"


def test_a_server_that_records_looks_at_what_it_answers(tmp_path):
    from kft.serve.answering import Server
    from kft.serve.app import make_app
    from kft.serve.guard import Access, Log
    from kft.serve.limits import Limits
    from kft.serve.measures import Measures
    from kft.serve.models import Followed, Served, by_name

    version = load_version(open_artifact, write_watched(tmp_path / "reviews"), "", pytest.fail)
    recorder, limits, measures = SampleRecorder(tmp_path / "kept", pytest.fail, ALL), Limits(), Measures()
    served = by_name([Served(Followed("reviews", version, moves=False), limits, measures)])
    server = Server(served, limits, measures, Log(pytest.fail, requests=False, contents=False), recorder)
    with TestClient(make_app(server, Access(local=False))) as ask:
        answer = ask.post("/predict", json={"text": "the battery is great"}).json()
        assert ask.post("/predict", json={"text": " "}).status_code == 422
        several = ask.post("/predict", json={"texts": ["the battery is great", "a phone"]}).json()
    assert {name: answer[name] for name in ("label", "confidence")} == {
        name: several["predictions"][0][name] for name in ("label", "confidence")
    }
    first, _ = lines(tmp_path / "kept")
    assert first["seen"]["values"]["tokens"] == 4 and first["seen"]["values"]["confidence"] == pytest.approx(
        answer["confidence"], abs=1e-4
    )
