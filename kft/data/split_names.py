"""What folders and files are called that hold a split each: train, Training, seg_test, val2017, images_train."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Role = Literal["train", "valid", "test", "unlabelled"]

# fmt: off
ROLES: Mapping[str, Role] = {
    **dict.fromkeys(("train", "training", "trainings", "trn"), "train"),
    **dict.fromkeys(("valid", "validation", "validate", "validating", "val", "dev", "devel", "development",
                     "eval", "evaluation", "evaluate"), "valid"),
    **dict.fromkeys(("test", "tests", "testing", "tst", "holdout", "heldout"), "test"),
    **dict.fromkeys(("unlabelled", "unlabeled", "unsup", "unsupervised", "nolabel", "pred", "predict", "prediction",
                     "predictions", "inference"), "unlabelled"),
}
GENERIC = {
    "set", "sets", "data", "dataset", "datasets", "image", "images", "img", "imgs", "photo", "photos", "picture",
    "pictures", "pics", "split", "splits", "folder", "dir", "file", "files", "samples", "examples", "jpg", "png",
}
# fmt: on
"""Words that stand beside the name of a split and say nothing of their own."""
PART = re.compile(r"(?:cv|fold|part|batch|chunk|shard|subset|set|split)s?[\W_]*\d{1,4}", re.IGNORECASE)
"""Folders that hold a piece of the data each, such as fold_1."""


@dataclass(frozen=True)
class SplitName:
    """A name that says which split it holds.

    Attributes:
        role: Which.
        rest: What else the name says, in lower case: ``seg`` of ``seg_train``; numbers and words such as
            ``images`` say nothing.
    """

    role: Role
    rest: str


def words_in(name: str) -> list[str]:
    """Returns the words that a name is made of, and its numbers.

    Example:
        >>> words_in("customerID_2"), words_in("TestSet")
        (['customer', 'ID', '2'], ['Test', 'Set'])
    """
    return re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+", name)


def read_name(name: str) -> SplitName | None:
    """Returns which split a name stands for; None where it names none, or more than one.

    Example:
        >>> read_name("seg_train"), read_name("TestSet"), read_name("bus")
        (SplitName(role='train', rest='seg'), SplitName(role='test', rest=''), None)
    """
    words = [_plain(word) for word in words_in(name)]
    roles = [word for word in words if word in ROLES]
    if len(roles) != 1:
        return None
    rest = [word for word in words if word != roles[0] and word not in GENERIC and not word.isdigit()]
    return SplitName(ROLES[roles[0]], "_".join(rest))


def _plain(word: str) -> str:
    """A word in lower case; of trainset and testdata the first half."""
    word = word.lower()
    halves = (word.removesuffix(end) for end in GENERIC if word.endswith(end))
    return word if word in ROLES else next((half for half in halves if half in ROLES), word)


def same_series(names: Iterable[SplitName]) -> bool:
    """Whether names differ in the split alone, as seg_train and seg_test do.

    Example:
        >>> same_series([SplitName("test", "covid"), SplitName("train", "")])
        False
    """
    return len({name.rest for name in names}) <= 1
