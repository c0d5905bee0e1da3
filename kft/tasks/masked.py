"""Tokens of a text that were hidden, and are found again: how an encoder learns the words of texts without labels.

The label of a text is the text itself; outputs, losses and metrics are those of responses, at hidden tokens alone.
"""

from __future__ import annotations

from dataclasses import replace

from kft.metrics.language import Spoken
from kft.recipe.schema import DataSpec
from kft.tasks.responses import RESPONSES, ResponsePrediction
from kft.tasks.task import AnswerSpace

NO_ANSWER = "it learns what tokens were hidden, which answers nothing; "
START = "a run of another task with model.start_from: RUN answers"


def _parse(cell: object, text: object, spec: DataSpec) -> tuple[str, str]:
    label, problem = RESPONSES.labels.parse(cell, text, spec)
    return label, problem.replace("response", "text")


def _row(truth: str, answer: Spoken, space: AnswerSpace) -> tuple[str, str, str]:
    """How many tokens were asked, how many found, and how likely one was on average; the text stands in the data."""
    asked, found = len(answer.losses), int(answer.hits.sum())
    likely = RESPONSES.judging.row(truth, answer, space)[2]
    return f"{asked} hidden", f"{found} found", likely


MASKED = replace(
    RESPONSES,
    labels=replace(RESPONSES.labels, form="masked", parse=_parse, noun="texts", usual=()),
    learning=replace(RESPONSES.learning, head="masked"),
    judging=replace(
        RESPONSES.judging,
        prediction=lambda answer, space, text: ResponsePrediction(""),
        row=_row,
        gates=("slices.worst.token_log_loss",),
        written={},
        beside=lambda answers: {},
        as_label=None,
        of_texts=lambda truth, answers: {},
    ),
    learns="masked",
    keys=("data.texts",),
    refuses={
        "train.label_smoothing": "{task} learns the hidden tokens as they are: leave it out",
        "train.compile": "{task} makes logits for hidden tokens alone, and a compiler wants fixed shapes",
        "train.refit": "{task} makes a backbone for other runs, which keeps the epoch that valid chose: leave it out",
        "model.pooling": "{task} answers token by token, so nothing is pooled",
        "evaluate.calibrate": "{task} finds hidden tokens, whose probabilities nothing fits on valid: leave it out",
        "features.precision": "each epoch hides other tokens, so that nothing frozen is stored: leave it out",
        "data.document": "{task} reads texts from a column of a table",
    },
    lacks={
        command: NO_ANSWER + instead
        for command, instead in {
            "init": "name the column in data.texts of a recipe of your own: docs/language.md has one",
            "predict": START,
            "choose": "kft train RECIPE --set model.backbone=NAME, for each",
            "compare": "kft evaluate holds a run beside its untuned backbone",
            "export": START + ", and ships",
            "queue": START,
            "retrain": "add the rows to data.train, and kft train",
            "data build": "kft check RECIPE",
            "index": "kft index takes runs that make vectors: text-embedding with model.start_from: RUN",
        }.items()
    },
)
