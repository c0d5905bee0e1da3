"""A text that answers a prompt, written token by token: what a language model is tuned to.

The model reads prompt and response, and is judged by how well each token of the response follows from those before it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.metrics.language import (
    METRICS,
    OF_CONTEXT,
    OF_JSON,
    OF_OVERLAP,
    OF_TOKENS,
    WRITTEN,
    Spoken,
    confidences,
    of_passages,
    of_texts,
)
from kft.metrics.support import Support, support
from kft.recipe.schema import DataSpec
from kft.records.fields import absent, unwritten
from kft.tasks.cells import as_objects, as_text, kind_problem
from kft.tasks.task import AnswerKind, AnswerSpace, Judging, Labelling, Learning, Objective

TARGETS = "target_ids"
"""The model's input that says which token is right behind each: its id and one; 0 where nothing is asked."""
LOSS, HIT, ASKED = 0, 1, 2
"""What the model gives of each token: its loss in nats, whether it was the likeliest, and whether it was asked."""
PERPLEXITY_RATIO = "forgetting.perplexity_ratio"
"""What a gate can ask of general text."""
NO_LABEL = "its answers are texts, and this is for answers with a label or a vector; "


@dataclass(frozen=True)
class ResponsePrediction:
    """One answer.

    Attributes:
        text: What the model wrote, also where it declines; empty where it was not asked to.
        confidence: How sure it is, from 0 to 1: see ``kft.answer.write``; None where nothing was written.
        abstain: Whether the model declines to answer.
        unsupported: What of it stands neither in its passages nor in the prompt: see ``kft.metrics.support``. None
            where it has no passages.
        why: Why it does; empty where it answers.
        support: What its passages say of all that it says; None where it has none.
    """

    text: str
    confidence: float | None = None
    abstain: bool = False
    unsupported: tuple[str, ...] | None = absent()
    why: str = unwritten("")
    support: Support | None = unwritten()


@dataclass(frozen=True)
class Grounded:
    """A prompt with what it is answered from.

    Attributes:
        prompt: The prompt.
        passages: Texts, the best first; the last ones give way where there is no room.
    """

    prompt: str
    passages: tuple[str, ...] = ()

    def supports(self, answer: str, kept: Sequence[int]) -> Support:
        """Returns what of an answer stands in some of the passages, by their places, or in the prompt."""
        return support(answer, "\n".join([*(self.passages[place] for place in kept), self.prompt]))


def _parse(cell: object, text: object, spec: DataSpec) -> tuple[str, str]:
    problem = kind_problem(cell, "response")
    label = "" if problem else as_text(cell)
    return label, problem or ("" if label.strip() else "missing response")


def _objective(space: AnswerSpace, label_smoothing: float) -> Objective:
    """The mean over a response's tokens, so that each example counts once; the outputs are losses already."""
    import tensorflow as tf

    def over_tokens(place: int) -> Any:
        def mean_of(targets: Any, outputs: Any) -> Any:
            asked = tf.maximum(tf.reduce_sum(outputs[..., ASKED], axis=1), 1.0)
            return tf.reduce_sum(outputs[..., place], axis=1) / asked

        return mean_of

    return Objective(over_tokens(LOSS), over_tokens(HIT), (), "int32")


def _loss(targets: Any, outputs: Sequence[np.ndarray], space: AnswerSpace) -> float:
    """Returns the mean over examples of the mean over tokens, in nats."""
    return float(np.mean([each.losses.mean(dtype=np.float64) for each in _answers(outputs, space, None)]))


def _answers(outputs: Sequence[np.ndarray], space: AnswerSpace, offsets: Any) -> np.ndarray:
    found = []
    for each in outputs:
        asked = np.asarray(each)[np.asarray(each)[:, ASKED] > 0]
        found.append(Spoken(asked[:, LOSS].astype(np.float64), asked[:, HIT].astype(np.float64)))
    return as_objects(found)


def _given(document: Mapping[str, Any]) -> ResponsePrediction:
    return ResponsePrediction(document["text"], document.get("confidence"), document["abstain"])


def _row(truth: Any, answer: Spoken, space: AnswerSpace) -> tuple[str, str, str]:
    """The response, what was written, and how sure of that the model is.

    Where nothing was written, how likely a token of the response was on average.
    """
    sure = float(np.exp(-answer.losses.mean())) if answer.confidence is None else answer.confidence
    return str(truth), answer.text or "", f"{sure:.6f}"


def _beside(answers: Sequence[Spoken]) -> dict[str, list[str]]:
    """What stands in no passage of each answer, as a list in JSON; where there are passages."""
    if not of_passages(answers):
        return {}
    found = [each.support.unsupported if each.support else () for each in answers]
    return {"unsupported": [json.dumps(words, ensure_ascii=False) for words in found]}


def _sure(answers: Sequence[Spoken]) -> np.ndarray | None:
    return None if any(each.confidence is None for each in answers) else confidences(answers)


RESPONSES = AnswerKind(
    # Labels are texts; outputs are ``float32[tokens, 3]`` an example; answers are ``Spoken``.
    labels=Labelling(
        form="response",
        parse=_parse,
        space=lambda labels: AnswerSpace(()),
        lack=lambda space: "",
        strata=lambda labels: np.full(len(labels), "", dtype=object),
        noun="responses",
        usual=("response", "completion", "output", "answer", "reply", "summary"),
    ),
    learning=Learning(
        head="language",
        solver="adamw",
        hits_name="token_accuracy",
        units=lambda space: 0,
        # What is right is part of what the model reads: kft.model.prompts.
        targets=lambda labels, space, offsets: np.zeros(len(labels), np.int32),
        objective=_objective,
        loss=_loss,
    ),
    judging=Judging(
        metrics=METRICS,
        baseline_name="untuned",
        answers=_answers,
        truth=lambda labels, space: as_objects(list(labels)),
        constant=None,
        prediction=lambda answer, space, text: ResponsePrediction(answer.text or "", answer.confidence),
        given=_given,
        row=_row,
        gates=(
            "slices.worst.token_log_loss",
            *("selective.coverage", "selective.error", "selective.aurc"),
            PERPLEXITY_RATIO,
            "edge_cases.pass_rate",
            *WRITTEN,
            *OF_JSON,
            *OF_OVERLAP,
            *OF_TOKENS,
            *OF_CONTEXT,
        ),
        beside=_beside,
        confidence=_sure,
        as_label=lambda prediction: prediction.text,
        weighed=confidences,
        written=WRITTEN | OF_JSON | OF_OVERLAP | OF_TOKENS | OF_CONTEXT,
        of_texts=of_texts,
    ),
    solvers=("adamw",),
    keys=(
        "data.messages",
        "data.texts",
        "model.turns",
        "data.context",
        "data.index",
        "data.passages",
        "model.context_template",
        "model.context_tokens",
        "model.quantize",
        "model.template",
        "model.response_tokens",
        "model.choices",
        "evaluate.write",
        "evaluate.abstain_at",
        "evaluate.suite",
        "compare",
    ),
    refuses={
        "train.label_smoothing": "{task} learns the tokens of the response as they are: leave it out",
        "train.compile": "{task} makes logits for the tokens of responses alone, and a compiler wants fixed shapes",
        "model.pooling": "{task} answers token by token, so nothing is pooled",
        "model.blocks": "{task} needs the whole decoder: its output matrix reads the last block",
        "evaluate.calibrate": "{task} answers with texts, of which no temperature changes how sure the surest are; "
        "evaluate.abstain_at withholds those that are not sure enough: leave it out",
        "features.precision": "what products of 8 bits cost is measured for answers with a label; {task} writes texts",
        "data.html": "a response would be learned as it stands, and the prompt otherwise: mend the data themselves",
        "data.redact": "a response would keep what its prompt loses: redact the data themselves",
        "data.document": "{task} reads prompts and responses from a table",
    },
    lacks={
        command: NO_LABEL + instead
        for command, instead in {
            "choose": "kft train RECIPE --set model.backbone=NAME, for each",
            "queue": "read what it wrote: predictions.csv of the run",
            "retrain": "add the rows to data.train, and kft train",
            "data build": "kft check RECIPE",
            "index": "a run of another task on texts, or text-embedding, makes the vectors of an index",
        }.items()
    },
)
