"""A run as a folder that answers without kft."""

import csv
import json
import subprocess
import sys

import pytest

import kft
from kft.deploy.load import open_artifact
from kft.deploy.runner.command import main
from kft.errors import DataError, GateError, RunError, UsageError
from tests.deploy.conftest import ODD


def test_it_answers_as_the_run_does(shipped, shipped_run):
    texts = [*ODD, "the battery is great", "the phone is awful and broken", "? ! ? !"]
    found = open_artifact(shipped).predict(texts)
    with pytest.warns(UserWarning, match="1 text is longer than what the model reads"):
        wanted = kft.predict(shipped_run, texts)
    for one, other in zip(found, wanted, strict=True):
        assert (one["label"], one["abstain"], one.get("why", "")) == (other.label, other.abstain, other.why)
        assert one["probabilities"] == pytest.approx(other.probabilities, abs=1e-5)
    assert {answer["abstain"] for answer in found} == {True, False}


def test_what_is_said_of_it(shipped, shipped_run):
    about = open_artifact(shipped).about
    with (shipped_run / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert about.parity is not None
    assert about.parity.n == about.parity.of == len(rows) and about.parity.largest < about.parity.tolerance
    assert (about.name, about.task, about.labels) == ("tiny", "text-classification", ("negative", "positive"))
    assert set(about.files) == {
        "model.onnx",
        "tokenizer.json",
        "golden.jsonl",
        "run.py",
        "card.md",
        "reference.safetensors",
    }
    assert about.calibration is not None and about.calibration.scope is not None
    card = (shipped / "card.md").read_text()
    assert card.startswith("---\n")  # though nobody asked for a report
    assert f"it was exported as onnx, on {about.created[:10]}" in card and "an exported model with proof" not in card


def test_its_script_answers_lines_alone(shipped, tmp_path):
    command = [sys.executable, "-I", str(shipped / "run.py"), "-"]
    given = "the battery is great\n" + "the battery is great " * 30 + "\n"
    done = subprocess.run(command, input=given, capture_output=True, text=True, cwd=tmp_path)
    line, _ = done.stdout.splitlines()
    assert "1 text is longer than what the model reads" in done.stderr
    assert json.loads(line) == open_artifact(shipped).predict(["the battery is great"])[0]
    empty = subprocess.run(command, input="fine\n \n", capture_output=True, text=True, cwd=tmp_path)
    assert empty.returncode == 2 and "empty text" in empty.stderr and "row 2\n" in empty.stderr


def test_its_script_counts_rows_from_the_first_of_the_whole_input(shipped, tmp_path):
    lines = tmp_path / "lines.txt"
    lines.write_text("fine\n" * 299 + " \n")
    done = subprocess.run([sys.executable, str(shipped / "run.py"), str(lines)], capture_output=True, text=True)
    assert done.returncode == 2 and "row 300\n" in done.stderr
    assert len(done.stdout.splitlines()) == 256, "what was answered before it"
    with pytest.raises(DataError, match="empty text") as caught:
        open_artifact(shipped).predict(["fine"] * 299 + [" "])
    assert caught.value.where == "row 300"


def test_its_script_reads_utf_8_whatever_the_system_has(shipped, tmp_path):
    command = [sys.executable, str(shipped / "run.py"), "-"]
    given = "the battery is gre\u00e4t \u20ac5".encode()
    for encoding in ("utf-8", "latin-1", "ascii"):
        environment = {"PYTHONIOENCODING": encoding, "PATH": ""}
        done = subprocess.run(command, input=given, capture_output=True, cwd=tmp_path, env=environment)
        assert json.loads(done.stdout) == open_artifact(shipped).predict([given.decode()])[0], encoding
    lines = tmp_path / "lines.txt"
    lines.write_bytes(b"fine\n\xe9t\xe9\n")
    done = subprocess.run([*command[:2], str(lines)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2 and "a line is no text in UTF-8" in done.stderr and "lines.txt:2" in done.stderr
    odd = tmp_path / "odd.jsonl"
    odd.write_text('{"base64": 5}\n')
    done = subprocess.run([*command[:2], str(odd)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2 and "a line is no JSON of an input" in done.stderr


def test_a_changed_byte_is_refused(shipped, tmp_path, capsys):
    import shutil

    copy = shutil.copytree(shipped, tmp_path / "copy")
    whole = (copy / "tokenizer.json").read_bytes()
    (copy / "tokenizer.json").write_bytes(whole[:-2] + b" }")
    with pytest.raises(RunError, match=r"not as it was exported: tokenizer\.json was changed"):
        open_artifact(copy)
    (copy / "tokenizer.json").write_bytes(whole)
    text = (copy / "artifact.json").read_text()
    (copy / "artifact.json").write_text(text.replace('"negative"', '"NEGATIVE"', 1))
    with pytest.raises(RunError, match=r"artifact\.json was changed"):
        open_artifact(copy)
    (tmp_path / "lines.txt").write_text("the battery is great\n")
    for broken, said in ((None, "was changed"), (text[:-9], "cannot be read"), ("", "cannot be read")):
        if broken is not None:
            (copy / "artifact.json").write_text(broken)
        assert main(copy, [str(tmp_path / "lines.txt")]) == 2
        answered, told = capsys.readouterr()
        assert not answered and f"a file of the model {said}" in told and str(copy / "artifact.json") in told


def test_a_change_of_any_file_is_found(shipped, tmp_path):
    import shutil

    from tests.deploy.keys import write_keys

    key, public = write_keys(tmp_path)
    copy = shutil.copytree(shipped, tmp_path / "copy")
    kft.sign(copy, key)
    assert kft.verify(copy, public_key=public).problems == ()
    open_artifact(copy)
    names = sorted(path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file())
    assert len(names) >= 7
    for name in names:
        whole = (copy / name).read_bytes()
        place = len(whole) // 2
        (copy / name).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :] if whole else b" ")
        found = kft.verify(copy, public_key=public) if name != "artifact.json" else None
        assert found is None or found.problems, name
        if name != "model.sig":
            with pytest.raises(RunError):
                open_artifact(copy)
        (copy / name).write_bytes(whole)
    assert kft.verify(copy, public_key=public).problems == ()


def test_from_the_shelf_it_answers_as_before(shipped, tmp_path):
    kft.promote(shipped, "tiny", shelf=tmp_path / "shelf")
    texts = ["the battery is great", "the phone is awful and broken"]
    for place in (f"{tmp_path}/shelf/tiny", f"{tmp_path}/shelf/tiny@1", tmp_path / "shelf" / "tiny" / "1"):
        assert kft.predict(place, texts) == kft.predict(shipped, texts)


def test_a_folder_that_is_there_and_one_that_is_no_artifact(shipped, shipped_run, tmp_path):
    with pytest.raises(UsageError, match="already exists"):
        kft.export(shipped_run, shipped)
    with pytest.raises(RunError, match="no artifact here"):
        open_artifact(tmp_path)
    with pytest.raises(UsageError, match="unknown format 'onx'"):
        kft.export(shipped_run, tmp_path / "new", format="onx")


def test_gates_and_receipt_are_asked(shipped_run, tmp_path):
    import shutil

    run = shutil.copytree(shipped_run, tmp_path / "run")
    calibration = run / "calibration.json"
    calibration.write_text(calibration.read_text().replace('"threshold": 0.9', '"threshold": 0.8'))
    with pytest.raises(RunError, match=r"calibration\.json was changed"):
        kft.export(run, tmp_path / "new", quiet=True)
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["gates"] = {"accuracy": {"rule": ">= 0.99", "value": 0.5, "passed": False}}
    shutil.copy(shipped_run / "calibration.json", calibration)
    (run / "metrics.json").write_text(json.dumps(metrics))
    (run / "manifest.json").write_text((run / "manifest.json").read_text())
    with pytest.raises(RunError, match=r"metrics\.json was changed"):
        kft.export(run, tmp_path / "new", quiet=True)
    from kft.records.manifest import seal
    from kft.records.run_folder import RunFolder

    seal(RunFolder(run), ["metrics.json"])
    with pytest.raises(GateError, match=r"gates of the recipe fail: accuracy >= 0\.99") as caught:
        kft.export(run, tmp_path / "new", quiet=True)
    assert caught.value.exit_code == 1
    assert not list(tmp_path.glob("*new*")) and not list(tmp_path.glob(".new*"))
    forced = kft.export(run, tmp_path / "new", quiet=True, force=True)
    assert forced.forced == ("gate accuracy >= 0.99 (reached 0.5000)",)
    assert open_artifact(tmp_path / "new").about.forced == forced.forced


def test_predict_takes_it_like_a_run(shipped, shipped_run, kft_cli):
    code, out, err = kft_cli("predict", shipped, "the battery is great")
    assert code == 0, err
    (wanted,) = kft.predict(shipped_run, "the battery is great")
    found = json.loads(out)
    assert found["label"] == wanted.label and list(found) == ["label", "confidence", "abstain", "probabilities"]
    code, out, err = kft_cli(
        "predict", shipped, shipped_run.parent / "rows.csv", "-o", "answers.jsonl", "--columns", ""
    )
    assert code == 0, err
    assert "412 answers" in err and "answers withheld" in err
