"""Labelled examples for views: vectors that lie around their class, tokens that hold a word of it."""

from __future__ import annotations

import numpy as np

from kft.features.views.view import Goal, Lesson, Shapes, ViewInput
from kft.feed.batches import Ragged
from kft.tasks.word_shapes import word_features
from kft.tasks.words import word_places

CLASSES, ROWS, WIDTH = 4, 120, 12


def lesson(seed: int = 0, *, solver: str = "softmax", rows: int = ROWS, noise: float = 1.0) -> Lesson:
    """Examples whose vectors lie around their class, and whose tokens hold a word of it."""
    rng = np.random.default_rng(seed)
    classes = np.arange(rows) % CLASSES
    centres = 3 * np.eye(CLASSES, WIDTH, dtype=np.float32)
    vectors = centres[classes] + noise * rng.normal(size=(rows, WIDTH)).astype(np.float32)
    texts = [np.append(rng.integers(10, 30, rng.integers(1, 6)), own).astype(np.int32) for own in classes]
    seen = ViewInput(vectors, Ragged.from_rows(texts))
    if solver == "softmax":
        return Lesson(seen, classes, Goal(solver, CLASSES), ViewInput(centres))
    if solver == "sigmoid":
        several = np.eye(CLASSES, dtype=np.float32)[classes]
        several[:, 0] = classes > 1
        return Lesson(seen, several, Goal(solver, CLASSES), None)
    number = (classes - classes.mean()).astype(np.float32)[:, None]
    return Lesson(seen, number, Goal(solver, 1), None)


def tagged_words(texts: int = 40, seed: int = 0) -> Lesson:
    """Words of texts, of which those in capitals have class 1; their vectors say nothing."""
    rng = np.random.default_rng(seed)
    letters = list("abcdefghij")
    made = []
    for _ in range(texts):
        said = ["".join(rng.choice(letters, 4)) for _ in range(6)]
        made.append(" ".join(word.upper() if rng.random() < 0.4 else word for word in said))
    places = np.concatenate(word_features(made, [word_places(text) for text in made]))
    targets = np.array([int(word.isupper()) for text in made for word in text.split()])
    shapes = Shapes(places, np.repeat(np.arange(texts), 6))
    return Lesson(ViewInput(np.ones((len(targets), 3), np.float32), None, shapes), targets, Goal("softmax", 2))
