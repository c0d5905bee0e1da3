"""A tokenizer that makes the `tokenizers` package panic is an error of kft's, not the end of the process."""

import base64
import json

import pytest

import kft
from kft.errors import ModelError
from kft.model.panics import tokenizer_errors
from kft.model.sentencepiece import SentencePieceModel
from kft.model.tokenizers import sentencepiece_tokenizer, wrap
from tests import tiny

BROKEN = [b"\x01", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7fabc", b"\x04\x00\x00\x00\xff\xff\xff\xff", b"\x00" * 7]


@pytest.mark.parametrize("charsmap", BROKEN)
def test_a_broken_charsmap_in_tokenizer_json(tmp_path, charsmap, kft_cli):
    folder = tiny.write_backbone(tmp_path / "bert")
    tokenizer = json.loads(kft.load_backbone(str(folder)).tokenizer.tokenizer.to_str())
    tokenizer["normalizer"] = {
        "type": "Precompiled",
        "precompiled_charsmap": base64.b64encode(charsmap).decode(),
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    code, _, err = kft_cli(
        "train", str(tiny.recipe(tmp_path, folder, phases=[tiny.PROBE])), "--run", str(tmp_path / "run")
    )
    assert code == 2 and "this tokenizer cannot be read" in err and "Traceback" not in err


@pytest.mark.parametrize("charsmap", BROKEN)
def test_a_broken_charsmap_in_a_sentencepiece_model(tmp_path, charsmap):
    pieces = (("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3), ("a", -1.0, 1))
    model = SentencePieceModel(str(tmp_path / "spiece.model"), pieces, 1, charsmap, True, True)
    with pytest.raises(ModelError, match="this tokenizer cannot be read"):
        wrap(sentencepiece_tokenizer(model, "xlm-roberta"), tmp_path)


def test_what_is_no_panic_passes():
    for stop in (KeyboardInterrupt, SystemExit, GeneratorExit):
        with pytest.raises(stop), tokenizer_errors("x"):
            raise stop
