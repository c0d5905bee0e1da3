"""A folder of the server's records, read back as it was seen."""

import json

import numpy as np
import pytest

from kft.errors import DataError
from kft.monitor import records
from kft.monitor.records import as_line, files_missed, holds_records, read_records
from kft.monitor.seen import Seen
from tests.monitor.made import made


def write(folder, number, lines, end="\n"):
    folder.mkdir(exist_ok=True)
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    (folder / f"sample-{number:06d}.jsonl").write_text(text + end, encoding="utf-8")


def line_of(seen, place, *, version="v1", at=0.0):
    row = seen.take(np.array([place]))
    names = [f"label {each}" for each in range(row.probabilities.shape[1])]
    probabilities = dict(zip(names, map(float, row.probabilities[0]), strict=True))
    answer = {"label": names[row.label[0]], "confidence": float(row.confidence[0]), "abstain": bool(row.abstain[0])}
    return {
        **{"at": at, "model": "m", "version": version, "input": f"text {place}"},
        **{"answer": {**answer, "probabilities": probabilities}, "seen": as_line(row, b"secret")},
    }


@pytest.fixture(scope="module")
def known():
    return made(60)


def test_what_was_seen_comes_back(tmp_path, known):
    reference, seen, _ = known
    write(tmp_path / "kept", 1, [line_of(seen, place, at=place + 0.5) for place in range(25)])
    write(tmp_path / "kept", 2, [line_of(seen, place, at=place + 0.5) for place in range(25, 60)])
    (tmp_path / "kept" / "notes.txt").write_text("of somebody")
    assert holds_records(tmp_path / "kept") and not holds_records(tmp_path) and not holds_records(tmp_path / "none")
    (block,) = read_records(tmp_path / "kept", reference, "v1")
    assert len(block.seen) == 60 and block.passed == {} and block.at.tolist() == [place + 0.5 for place in range(60)]
    assert block.places[[0, 24, 25, -1]].tolist() == [[1, 1], [1, 25], [2, 1], [2, 35]]
    for name in reference.gauges:
        np.testing.assert_array_equal(block.seen.values[name], seen.values[name], err_msg=name)
    # Copies are told, and no text can be found by its hash.
    assert len(set(block.seen.keys.tolist())) == len(set(seen.keys.tolist())) and not set(block.seen.keys) & set(
        seen.keys
    )
    for name in ("probabilities", "label", "abstain"):
        np.testing.assert_array_equal(getattr(block.seen, name), getattr(seen, name), err_msg=name)
    np.testing.assert_allclose(block.seen.vectors, seen.vectors, rtol=1e-3)
    assert block.inputs[3] == "text 3" and block.answers[3]["label"] == f"label {seen.label[3]}"


def test_it_goes_on_where_it_ended_and_knows_copies_across_blocks(tmp_path, known, monkeypatch):
    reference, seen, _ = known
    monkeypatch.setattr(records, "MOST_ROWS", 4)
    write(tmp_path, 3, [line_of(seen, place) for place in (0, 1, 2, 3, 0, 5)])
    blocks = list(read_records(tmp_path, reference, "v1"))
    assert [len(block.seen) for block in blocks] == [4, 2]
    assert [block.seen.values["copy"].tolist() for block in blocks] == [[0, 0, 0, 0], [1, 0]]
    (rest,) = read_records(tmp_path, reference, "v1", after=(3, 4))
    assert rest.places.tolist() == [[3, 5], [3, 6]]
    assert list(read_records(tmp_path, reference, "v1", after=(3, 6))) == []
    assert list(read_records(tmp_path, reference, "v1", after=(4, 0))) == []


def test_other_versions_and_lines_without_a_look_are_counted(tmp_path, known):
    reference, seen, _ = known
    unseen = {name: value for name, value in line_of(seen, 1).items() if name != "seen"}
    torn = json.dumps(line_of(seen, 2))[:50]
    write(tmp_path, 1, [line_of(seen, 0), unseen, line_of(seen, 1, version="v2"), torn], end="")
    (block,) = read_records(tmp_path, reference, "v1")
    assert len(block.seen) == 1
    assert block.passed == {"without a look at the row": 1, "version v2": 1, "cut short": 1}
    (none,) = read_records(tmp_path, reference, "v3")
    assert len(none.seen) == 0 and none.passed == {"version v1": 2, "version v2": 1, "cut short": 1}
    assert set(none.seen.values) >= set(reference.gauges)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda line: "{", "JSONDecodeError"),
        (lambda line: "[]", "TypeError"),
        (lambda line: {**line, "at": "noon"}, "ValueError"),
        (lambda line: {**line, "answer": None}, "AttributeError"),
        (lambda line: {**line, "seen": {**line["seen"], "vector": "AAAA"}}, "ValueError"),
        (lambda line: {**line, "seen": {**line["seen"], "vector": "AAA="}}, "a vector of 1 numbers instead of 8"),
        (lambda line: {**line, "seen": {**line["seen"], "key": None}}, "TypeError"),
        (lambda line: {**line, "answer": {"probabilities": {"other": 1.0}}}, "KeyError: 'label 0'"),
        (lambda line: {key: value for key, value in line.items() if key != "version"}, "KeyError: 'version'"),
        (lambda line: {**line, "at": 1e15}, "at 1e+15, and from 0 to"),
        (lambda line: {**line, "input": [3]}, "an input that is neither a text"),
        (lambda line: {**line, "answer": {**line["answer"], "probabilities": None}}, "TypeError"),
        (lambda line: {**line, "answer": {**line["answer"], "confidence": 90}}, "confidence 90, and from 0 to 1"),
        (lambda line: {**line, "seen": {**line["seen"], "label": 7}}, "label 7, and from 0 to"),
        (lambda line: {**line, "seen": {**line["seen"], "key": "-1"}}, "a key of more than 16 digits or below 0"),
    ],
)
def test_a_line_that_is_none_of_the_recorders_is_named(tmp_path, known, change, said):
    reference, seen, _ = known
    write(tmp_path, 7, [line_of(seen, 0), change(line_of(seen, 1))])
    with pytest.raises(DataError, match="a line is none that kft serve --record writes") as caught:
        list(read_records(tmp_path, reference, "v1"))
    assert caught.value.where == f"{tmp_path / 'sample-000007.jsonl'}:2" and said in caught.value.received


def test_a_number_has_neither_classes_nor_vectors(tmp_path):
    from kft.monitor.known import KnownRows
    from kft.monitor.reference import make_reference

    values = {"value": np.array([1.0, 2.0, 3.0])}
    seen = Seen(values, np.arange(3, dtype=np.uint64))
    reference = make_reference(("text-regression", ()), KnownRows(), seen, None, 0)
    line = {"at": 1, "version": "v1", "input": "a", "answer": {"value": 2.0, "abstain": False}}
    write(tmp_path, 1, [{**line, "seen": as_line(seen.take(np.array([1])), b"secret")}])
    (block,) = read_records(tmp_path, reference, "v1")
    assert block.seen.values["value"].tolist() == [2]
    assert block.seen.probabilities is block.seen.label is block.seen.abstain is block.seen.vectors is None


def test_files_between_what_was_counted_and_what_is_there_are_missed(tmp_path, known):
    reference, seen, _ = known
    for number in (2, 3):
        write(tmp_path, number, [line_of(seen, place) for place in range(number)])
    (block,) = read_records(tmp_path, reference, "v1")
    assert files_missed(tmp_path, (0, 0), "") == files_missed(tmp_path, (3, 3), block.line) == 0
    assert files_missed(tmp_path, (1, 9), "of a file that is gone") == 0
    for after in ((3, 4), (2, 3), (4, 1)):
        with pytest.raises(DataError, match="these records end before what was counted of them"):
            files_missed(tmp_path, after, "")
    with pytest.raises(DataError, match="these records are not those that were counted"):
        files_missed(tmp_path, (3, 2), block.line)
    assert files_missed(tmp_path, (3, 2), "") == 0  # a state from before the line was kept
    write(tmp_path, 7, [line_of(seen, 1)])
    assert files_missed(tmp_path, (3, 3), block.line) == 3
