"""A vocabulary with 'Apple' beside 'apple', and nothing that says whether to lower text: case is kept, and said."""

import kft
from tests import tiny


def test_case_is_kept_and_said(tmp_path):
    folder = tiny.write_backbone(tmp_path / "cased")
    (folder / "tokenizer_config.json").unlink()
    words = (folder / "vocab.txt").read_text().split("\n")
    words[words.index("phone")] = "Phone"
    (folder / "vocab.txt").write_text("\n".join(words))
    said = []
    backbone = kft.load_backbone(str(folder), report=said.append)
    assert any("case is kept" in line and "'Phone'" in line for line in said)
    (ids,), _ = backbone.tokenizer.encode(["Phone phone"], 16)
    assert ids[1] == words.index("Phone") and ids[2] == words.index("[UNK]")
