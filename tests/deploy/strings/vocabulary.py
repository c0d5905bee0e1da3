"""A small WordPiece tokenizer with words of many kinds."""

import tokenizers

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = ("the", "un", "##aff", "##able", "##s", "great", "bat", "##tery", "i", "##s", "caf", "##e", "uber", "\u4e2d")
WORDS += (
    "\u03c3",
    "##\u03c3",
    "\u0928",
    "\U0001f600",
    "straße",
    "1",
    "##2",
    "The",
    "\u00c9t",
    "##\u00e9",
    "ﬁ",
    "\u1100",
)


def made(tmp_path, **settings):
    vocabulary = dict.fromkeys((*SPECIALS, *WORDS, *map(chr, range(33, 127)), *(f"##{chr(n)}" for n in range(97, 123))))
    (tmp_path / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    built = tokenizers.BertWordPieceTokenizer.from_file(str(tmp_path / "vocab.txt"), **settings)
    return tokenizers.Tokenizer.from_str(built.to_str())
