"""Tags that are numbers are refused, and say what is wanted; what is outside is no kind of span."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import tagged
from tests.tagged import iob2, json_lines, sentences, words

MADE = sentences(20)
NAMES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_they_are_refused_by_every_command(tmp_path, kft_cli, suffix):
    rows = [{"tokens": words(s), "ner_tags": [NAMES.index(tag) for tag in tagged.tags(s, iob2)]} for s in MADE]
    if suffix == "jsonl":
        (tmp_path / "ids.jsonl").write_text(json_lines(rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "ids.parquet")
    (tmp_path / "r.yaml").write_text(f"task: token-tagging\ndata: {{train: ids.{suffix}}}\n")
    init = ("init", f"ids.{suffix}", "-o", "new.yaml", "--task", "token-tagging")
    for command in (init, ("check", "r.yaml", "--no-features"), ("train", "r.yaml")):
        code, _, err = kft_cli(*command)
        assert code == 2 and "the tags are numbers, and nothing says what they mean" in err
        assert "received: 0, 1, 2, 3, 4" in err and "names such as O, B-PER, I-PER" in err
    assert not (tmp_path / "new.yaml").exists() and not (tmp_path / "runs").exists()
