"""Made-up data whose labels are known to hang on one thing: on a word, on the order of words, or on nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd

WHICH = ("small", "old", "brown", "hungry", "clever", "noisy", "quiet", "young", "tired", "friendly")
WHERE = (
    "from the farm",
    "next door",
    "in the garden",
    "with the white paws",
    "by the river",
    "of my aunt",
    "at the corner",
    "under the tree",
    "on the roof",
    "from the village",
)
VERBS = ("chased", "bitten", "followed", "watched", "scared", "licked", "ignored", "woken")
SIDES = {"good": ("great", "superb", "lovely", "perfect"), "bad": ("awful", "broken", "terrible", "useless")}
FILLING = ("the", "battery", "screen", "phone", "camera", "box", "is", "was", "very", "and", "it", "a", "my", "really")


def who_did_it(rows: int, seed: int = 0) -> pd.DataFrame:
    """Returns sentences in which a dog does something to a cat, or a cat to a dog; the label says who does it.

    Half of them are in the passive voice. Both labels hold the same words, and every word has the same neighbours under
    both, so that neither words nor pairs of them tell, nor does the order without the voice. No sentence stands twice.
    """
    rng = np.random.default_rng(seed)
    found: dict[str, str] = {}
    while len(found) < rows:
        label, other = ("dog", "cat") if len(found) % 2 else ("cat", "dog")
        passive = len(found) % 4 >= 2
        first, second = (
            f"the {rng.choice(WHICH)} {animal} {rng.choice(WHERE)}"
            for animal in ((other, label) if passive else (label, other))
        )
        did = "was {} by" if passive else "has {}"
        found.setdefault(f"{first} {did.format(rng.choice(VERBS))} {second}", label)
    return _shuffled(list(found), list(found.values()), rng)


def one_word_says_it(rows: int, seed: int = 0) -> pd.DataFrame:
    """Returns heaps of words, one of which gives the label away."""
    rng = np.random.default_rng(seed)
    labels = [("good", "bad")[row % 2] for row in range(rows)]
    texts = []
    for label in labels:
        words = [str(word) for word in rng.choice(FILLING, rng.integers(6, 14))]
        words.insert(int(rng.integers(0, len(words) + 1)), str(rng.choice(SIDES[label])))
        texts.append(" ".join(words))
    return _shuffled(texts, labels, rng)


def nothing_says_it(rows: int, seed: int = 0) -> pd.DataFrame:
    """Returns the same texts with labels drawn by lot."""
    table = one_word_says_it(rows, seed)
    return table.assign(label=np.random.default_rng(seed + 1).choice(["good", "bad"], rows))


def _shuffled(texts: list[str], labels: list[str], rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame({"text": texts, "label": labels}).iloc[rng.permutation(len(texts))].reset_index(drop=True)
