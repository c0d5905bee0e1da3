"""White space at an edge is left out; half a word is named by check and by train, with how many and an example."""

import json

import pytest

from tests import tagged, tiny
from tests.tagged import json_lines

NAMES = ("Marie", "Ada", "Linus", "Emmy", "Alan", "Grace")


def write(tmp_path, name, rows):
    (tmp_path / f"{name}.jsonl").write_text(json_lines(rows), encoding="utf-8")
    return tmp_path / f"{name}.jsonl"


def made(ending, length):
    for number in range(60):
        name = NAMES[number % 6]
        lead = "so " * (number % 3)
        span = {"start": len(lead), "end": len(lead) + len(name) + length, "label": "PER"}
        yield {"text": f"{lead}{name}{ending} was very great {number}", "spans": [span]}


def test_white_space_is_left_out(tmp_path):
    source = write(tmp_path, "trailing", made("", 1))
    assert [said for _, said in tagged.read_back(source)] == [[("PER", NAMES[number % 6])] for number in range(60)]
    tokens = [{"tokens": ["so", NAMES[n % 6], "", "left"], "ner_tags": ["O", "B-PER", "I-PER", "O"]} for n in range(60)]
    source = write(tmp_path, "empty", tokens)
    assert [said for _, said in tagged.read_back(source)] == [[("PER", NAMES[number % 6])] for number in range(60)]


@pytest.fixture
def halves(tmp_path, tiny_folder):
    write(tmp_path, "half", made("s friend", 0))
    values = {
        "task": "token-tagging",
        "data": {"train": "half.jsonl", "valid": "20%", "test": "20%"},
        "model": {"backbone": str(tiny_folder)},
        "train": {"phases": [tiny.PROBE]},
    }
    (tmp_path / "r.yaml").write_text(json.dumps(values))


@pytest.mark.parametrize("more", [(), ("--no-features",)])
def test_check_counts_half_words_and_shows_some(halves, kft_cli, more):
    code, out, err = kft_cli("check", "r.yaml", "--json", *more)
    assert code == 1, err
    (found,) = [each for each in json.loads(out)["findings"] if each["check"] == "spans"]
    assert found["severity"] == "error" and len(found["rows"]) == 60
    assert found["message"].startswith("60 of 60 spans (100 %) have an end inside a word, or share one")
    assert "'Marie' in 'Maries'" in found["message"] and found["details"]["kind"] == "inside-a-word"


def test_train_says_it_before_it_trains(halves, kft_cli):
    code, _, err = kft_cli("train", "r.yaml")
    assert code == 0, err
    assert "48 of 48 can never be answered, such as " in " ".join(err.split())


def test_a_span_behind_the_cut_is_another_thing(tmp_path, tiny_folder, kft_cli):
    rows = [{"text": "great " * 70 + f"Ada {n}", "spans": [[420, 423, "PER"], [0, 5, "ADJ"]]} for n in range(30)]
    write(tmp_path, "long", rows)
    values = {
        "task": "token-tagging",
        "data": {"train": "long.jsonl", "valid": "20%", "test": "20%", "keep_together": "nothing"},
        "model": {"backbone": str(tiny_folder), "max_tokens": 32},
    }
    (tmp_path / "r.yaml").write_text(json.dumps(values))
    code, out, _ = kft_cli("check", "r.yaml", "--json")
    (found,) = [each for each in json.loads(out)["findings"] if each["check"] == "spans"]
    assert code == 1 and found["details"]["kind"] == "cut"
    assert found["message"].startswith("30 of 60 spans (50 %) lie beyond the cut")
