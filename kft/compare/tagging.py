"""The words of texts: by how they are written alone, and on the frozen features of a backbone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kft.compare.setting import Setting
from kft.compare.solution import Solution
from kft.compare.tuning import phases_for
from kft.features.views import words
from kft.runtime import one_blas_thread
from kft.split.data_split import labels_of
from kft.tasks.task import AnswerKind, AnswerSpace

if TYPE_CHECKING:
    from kft.model.encode import Encoded
    from kft.train.job import Labelled


def fit_word_shapes(setting: Setting) -> Solution:
    """Solves the linear model on word shapes; every text is answered by what saw nothing of its fold."""
    from kft.train.tagged_words import MOST_WORDS, words_of

    known, judged, kind = setting.known, setting.judged, setting.task.kind
    read = setting.reader.read(known.inputs)
    fold_of_text = np.full(len(known), -1)  # where it is not judged, it is always learned from
    fold_of_text[judged.rows] = judged.fold_of
    # A word carries the number of its text, so that its fold is known; groups lie whole in a fold.
    tagged = labelled_words(read, list(labels_of(known)), kind, setting.split.space)
    lesson = words_of(tagged, None, np.arange(len(known)), setting.goal, MOST_WORDS)
    assert lesson.seen.shapes is not None
    fold_of_word = fold_of_text[lesson.seen.shapes.text]
    answers = np.empty(len(known), object)
    with one_blas_thread():
        for fold in range(int(judged.fold_of.max()) + 1):
            view = words.fit(lesson.take(np.flatnonzero(fold_of_word != fold)), words.STRENGTH)
            rows = np.flatnonzero(fold_of_text == fold)
            answers[rows] = _spans(view, read, rows, setting)
        view = words.fit(lesson, words.STRENGTH)

    def answer(inputs: Sequence[str]) -> np.ndarray:
        return _spans(view, setting.reader.read(inputs), np.arange(len(inputs)), setting)

    phases = [phase.model_dump(mode="json", exclude_defaults=True) for phase in phases_for("blend", blocks=2)]
    return Solution(
        answer=answer,
        trained=view.table.size + view.bias.size,
        own_bytes=sum(array.nbytes for array in view.arrays.values()),
        out_of_fold=answers[judged.rows],
        chosen={**view.settings, "phases": phases},  # a run has these words within a blend
    )


def labelled_words(read: Encoded, labels: list, kind: AnswerKind, space: AnswerSpace) -> Labelled:
    """Returns texts that were read, with a tag for each word."""
    from kft.train.job import Labelled

    targets = kind.learning.targets(labels, space, read.offsets)
    return Labelled(read.source, targets, kind.judging.truth(labels, space), read.offsets)


def spans_of(outputs: np.ndarray, tagged: Labelled, kind: AnswerKind, space: AnswerSpace) -> np.ndarray:
    """Returns the spans of each text, ``object[texts]``, from outputs for its words, those of all texts end to end."""
    from kft.train.tagged_words import to_tokens

    tokens = to_tokens(outputs, tagged.targets)
    return kind.judging.answers([tokens.row(place) for place in range(len(tokens))], space, tagged.offsets)


def _spans(view: words.WordsView, read: Encoded, rows: np.ndarray, setting: Setting) -> np.ndarray:
    from kft.train.job import Labelled
    from kft.train.tagged_words import shapes_of

    assert read.offsets is not None
    offsets = [read.offsets[row] for row in rows]
    firsts = [(places[:, 2] > 0).astype(np.int32) for places in offsets]
    outputs = view.outputs(shapes_of(read.source, rows, firsts, np.arange(int(rows.max()) + 1)))
    tagged = Labelled(read.source, firsts, None, offsets)
    return spans_of(outputs, tagged, setting.task.kind, setting.split.space)


def unfit_for_words(setting: Setting) -> str:
    """Says why neighbours are not looked up for single words; empty where whole inputs are answered."""
    return "whole texts are looked up, not their words" if setting.per_token else ""
