"""`kft predict` of a large table: in pieces, in order, and on from where a killed process had come to."""

import json
import signal

import pandas as pd
import pytest

import kft
from kft.api import predicting
from kft.api.predicting import predict_file
from kft.data import pieces
from kft.errors import DataError, UsageError
from tests import forked, tiny
from tests.api.killed_predicting import CHUNK_ROWS, SMALL
from tests.serve.shipped import write_shipped


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    return write_shipped(tmp_path_factory.mktemp("shipped") / "reviews", width=256)


@pytest.fixture
def rows(tmp_path):
    texts, _ = tiny.texts_and_labels(900)
    frame = pd.DataFrame({"text": texts, "label": range(len(texts)), "note": ['a "b"\nc,'] * len(texts)})
    return frame, tmp_path


def write(rows, suffix):
    frame, folder = rows
    path = folder / f"rows{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path)
    elif suffix == ".jsonl":
        lines = frame.to_dict("records")
        lines[-1]["late"] = "x"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    else:
        frame.to_csv(path, index=False)
    return path


def read(path):
    return pd.read_csv(path, dtype=str) if path.suffix == ".csv" else pd.read_json(path, lines=True)


@pytest.fixture
def cut(monkeypatch):
    """Files of a few kilobytes are large."""
    for name, value in SMALL.items():
        monkeypatch.setattr(pieces, name, value)
    monkeypatch.setattr(predicting, "CHUNK_ROWS", CHUNK_ROWS)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("to", [".csv", ".jsonl"])
def test_pieces_give_the_file_that_the_whole_gives(artifact, rows, suffix, to, request):
    path = write(rows, suffix)
    whole = predict_file(artifact, path, path.with_name(f"whole{to}"))
    request.getfixturevalue("cut")
    done = predict_file(artifact, path, path.with_name(f"pieces{to}"))
    assert (done.n, done.answered) == (whole.n, whole.answered) == (900, 900)
    found, wanted = (read(each.output) for each in (done, whole))
    figures = ["confidence", "probabilities"]  # the last bit of one hangs on what it is computed with
    pd.testing.assert_frame_equal(found.drop(columns=figures), wanted.drop(columns=figures))
    close = [(float(one) - float(other)) for one, other in zip(found["confidence"], wanted["confidence"], strict=True)]
    assert max(map(abs, close)) < 1e-4


def test_columns_and_rows_that_cannot_be_used(artifact, rows, cut):
    frame, folder = rows
    frame.loc[[0, 1, 700], "text"] = ["", " ", "\t"]
    path = write(rows, ".csv")
    with pytest.raises(DataError, match="3 of 900 texts are empty") as caught:
        predict_file(artifact, path, folder / "a.csv")
    assert caught.value.where == f"{path}, row 1, 2, 701" and not (folder / "a.csv").exists()
    done = predict_file(artifact, path, folder / "a.csv", columns=["label", "text"], skip_unusable=True)
    found = pd.read_csv(done.output, dtype=str, keep_default_na=False)
    assert done.answered == 897 and list(found)[:3] == ["input_label", "text", "label"]
    assert found["input_label"].tolist() == [str(number) for number in range(900)]
    assert (found["label"] == "").to_numpy().nonzero()[0].tolist() == [0, 1, 700]


def test_a_table_that_cannot_be_read_says_where(artifact, rows, cut):
    path, folder = write(rows, ".csv"), rows[1]
    path.write_text(path.read_text() + "one,two\n")
    with pytest.raises(DataError, match="a row has another number of fields") as caught:
        predict_file(artifact, path, folder / "a.csv")
    assert caught.value.where == f"{path}, line {2 + 2 * 900}"


def killed(artifact, path, output, kept):
    done = forked.run("tests.api.killed_predicting", artifact, path, output, kept)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not output.exists()


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_kill_costs_no_more_than_a_chunk(artifact, rows, cut, suffix, capsys):
    path = write(rows, suffix)
    whole = predict_file(artifact, path, path.with_name(f"whole{suffix}")).output.read_bytes()
    output, notes = path.with_name(f"out{suffix}"), path.with_name(f".out{suffix}.partial.json")
    for kept in (1, 4, 9):
        before = json.loads(notes.read_text())["rows"] if notes.exists() else 0
        killed(artifact, path, output, kept)
        assert json.loads(notes.read_text())["rows"] >= before + kept * 30
    capsys.readouterr()
    done = predict_file(artifact, path, output)
    assert "of 900 rows had been answered" in capsys.readouterr().err and done.n == 900
    assert output.read_bytes() == whole
    assert not list(path.parent.glob(".*"))


def test_another_input_is_answered_from_the_beginning(artifact, rows, cut, tmp_path, capsys):
    path = write(rows, ".csv")
    killed(artifact, path, tmp_path / "out.csv", 2)
    path.write_text(path.read_text().replace("great", "awful", 1))
    capsys.readouterr()
    done = predict_file(artifact, path, tmp_path / "out.csv")
    assert "had been answered" not in capsys.readouterr().err and done.n == 900
    assert len(pd.read_csv(done.output)) == 900


def test_cells_that_are_no_text_are_no_text_in_other_words_either(artifact, tmp_path):
    frame = pd.DataFrame({"text": [b"great", {"a": 1}, "great"]}, dtype=object)
    with pytest.raises(DataError, match="2 of 3 texts cannot be used") as caught:
        kft.load(artifact).predict(frame)
    assert caught.value.received == "text is not text: a bytes; text is not text: a dict"


def test_an_ending_that_promises_another_table_is_refused(artifact, tmp_path):
    with pytest.raises(UsageError, match="answers are written as a csv table, or as JSON lines") as caught:
        predict_file(artifact, tmp_path / "rows.csv", tmp_path / "answers.parquet")
    assert caught.value.next_step == f"-o {tmp_path / 'answers.csv'}"
