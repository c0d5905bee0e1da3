"""Texts that tokenizers disagree about."""

TEXTS = [
    "The battery died after two days.",
    "  two  spaces and a tab\tand a line\nbreak ",
    "Ärger über das naïve Café!",
    "unseen: 東京 🙂 ﬁne ½",
    "",
    "days",
    "the battery the battery the battery the battery the battery",
]


CORPUS = [
    *TEXTS,
    "the battery is good and the camera is better",
    "two days after the battery died",
    "a line, a tab",
] * 3
