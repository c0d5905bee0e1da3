"""A vector for each text: queries and the documents that answer them lie near each other.

A label is the ids of the documents that answer a query. What a model gives is a vector of length one; how good it is
shows in what it finds among the documents, so metrics take ranks: see kft/metrics/retrieval.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.metrics.retrieval import METRICS
from kft.recipe.schema import DataSpec
from kft.records.fields import unwritten
from kft.tasks.cells import as_text, kind_problem
from kft.tasks.task import AnswerKind, AnswerSpace, Judging, Labelling, Learning, Objective

ALONE = "{task} compares the rows of a batch with each other: "
OF_VECTORS = {
    "features.precision": "what products of 8 bits cost is measured for answers with a label; {task} gives vectors",
    "train.gradient_accumulation": ALONE + "it cannot be worked through in parts",
    "train.refit": ALONE + "what valid has chosen cannot be repeated without it; leave train.refit out",
}
"""Keys that are refused where vectors are learned from each other, and why."""


@dataclass(frozen=True)
class VectorPrediction:
    """One answer.

    Attributes:
        vector: Of length one.
        abstain: Whether the model declines to answer; always False.
        why: Why it declines; always empty.
    """

    vector: tuple[float, ...]
    abstain: bool
    why: str = unwritten("")


@dataclass(frozen=True)
class Ranking:
    """What a query found: what edge cases of queries look at.

    Attributes:
        documents: Ids, the nearest first.
    """

    documents: tuple[str, ...]


def _parse(cell: object, text: object, spec: DataSpec) -> tuple[tuple[str, ...], str]:
    """A document's id, or, without ``data.documents``, its text; a list in json names several."""
    cells = cell if isinstance(cell, list) else [cell]
    problem = next((found for each in cells if (found := kind_problem(each, "document"))), "")
    names = () if problem else tuple(dict.fromkeys(name for each in cells if (name := as_text(each).strip())))
    return names, problem or ("" if names else "missing document")


def _objective(space: AnswerSpace, label_smoothing: float) -> Objective:
    raise NotImplementedError("pairs are learned across the rows of a batch: kft/train/pairs.py")


def _prediction(answer: np.ndarray, space: AnswerSpace, text: str = "") -> VectorPrediction:
    return VectorPrediction(tuple(round(float(value), 7) for value in answer), abstain=False)


def _given(document: Mapping[str, Any]) -> VectorPrediction:
    return VectorPrediction(tuple(document["vector"]), document["abstain"])


def _row(truth: Any, answer: np.ndarray, space: AnswerSpace) -> tuple[str, str, str]:
    """How many documents answer the query, and the rank of the first of them; empty where none was found."""
    ranks = np.flatnonzero(answer)
    return str(int(truth)), str(int(ranks[0]) + 1) if ranks.size else "", ""


def _truth(labels: Sequence[Any], space: AnswerSpace) -> np.ndarray:
    return np.array([len(label) for label in labels], np.int64)


VECTORS = AnswerKind(
    # Labels are tuples of documents' ids; outputs are vectors ``float32[n, width]``, and for metrics
    # ``bool[n, depth]``: whether the document at each rank answers the query.
    labels=Labelling(
        form="documents",
        parse=_parse,
        space=lambda labels: AnswerSpace(()),
        lack=lambda space: "",
        strata=lambda labels: np.full(len(labels), "", dtype=object),
        written=lambda label: "\t".join(label),
        noun="documents",
        usual=("document", "document_id", "doc_id", "doc", "passage", "positive", "answer"),
    ),
    learning=Learning(
        head="embedding",
        solver="pairs",
        hits_name="first_of_batch",
        units=lambda space: 0,
        targets=lambda labels, space, offsets: _truth(labels, space),
        objective=_objective,
        loss=lambda targets, outputs, space: float("nan"),
    ),
    judging=Judging(
        # By the mean reciprocal rank a run is chosen: it sees a change at any rank.
        metrics={name: METRICS[name] for name in ("mrr", "recall_at_1", "recall_at_10", "ndcg_at_10")},
        baseline_name="frozen",
        answers=lambda outputs, space, offsets: np.asarray(outputs),
        truth=_truth,
        constant=None,
        prediction=_prediction,
        given=_given,
        row=_row,
        as_label=lambda ranking: ranking.documents,
    ),
    solvers=("adamw", "lbfgs"),
    learns="pairs",
    keys=("data.documents", "data.negative", "model.prompts", "train.pairs", "evaluate.suite"),
    refuses={
        **OF_VECTORS,
        "data.time": "{task} makes one of a query's rows, which have no one time: leave data.time out",
        "data.added": "only for {tasks}; {task} reads its documents and queries whole: add the rows to data.train",
    },
    lacks={
        "init": "documents beside the rows are not drafted; kft recipes copy knowledge/search search.yaml",
        "choose": "backbones are chosen by answers out of fold, and queries have none; kft compare RECIPE "
        "--approaches frozen --set model.backbone=NAME, for each",
        "queue": "what is worth a label is told by how sure an answer is, and a vector says nothing of that; label the "
        "queries that kft search has no good answer to",
        "retrain": "queries that come later change the documents as well; add the rows to data.train, and kft train",
        "data build": "what is built is rows with labels, and not documents beside them; kft check RECIPE",
    },
)
