"""A tiny random decoder that reads the words of tests/tiny.py, a token each, as a Hugging Face folder."""

from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers

from tests import tiny
from tests.model.families import write_folder

TEMPLATE = {"name": "plain", "example": ["Text: {text}", "Label: {label}"]}


def write_decoder(folder: Path) -> Path:
    write_folder(folder, "qwen 3")
    words = ["[PAD]", "[UNK]", "Text", "Label", ":", ".", "positive", "negative", *tiny.PLAIN, *tiny.GOOD, *tiny.BAD]
    built = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))
    built.pre_tokenizer = pre_tokenizers.Whitespace()
    built.save(str(folder / "tokenizer.json"))
    return folder
