"""A tokenizer of 40 words."""

from pathlib import Path


def write_tokenizer(folder: Path) -> None:
    """Writes a tokenizer.json of 40 words."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({f"w{number}": number for number in range(40)}, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
