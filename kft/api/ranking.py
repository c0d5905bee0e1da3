"""Scores a run that gives vectors: what they find among documents, or how alike texts are; and that without tuning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kft.answer.artifact import Artifact
from kft.answer.load import Answering, pretrained_backbone
from kft.data.corpus import Corpus
from kft.data.examples import Examples
from kft.evaluate.evaluate import Scored
from kft.forgetting.retain import RetainSet
from kft.metrics.neighbours import unit_rows
from kft.metrics.retrieval import found_among
from kft.suites.searched import Searched


@dataclass(frozen=True)
class RankingInput:
    """What is scored.

    Attributes:
        examples: With labels.
        name: What they are called.
        corpus: What queries are answered with; None where labels name no documents.
        constant: By metric the best single response of train; None where none is known, or nothing is written.
        general: Texts that show what tuning a language model costs; None where nobody asks.
    """

    examples: Examples
    name: str
    corpus: Corpus | None = None
    constant: Mapping[str, str] | None = None
    general: RetainSet | None = None


def rank_queries(answering: Answering, asked: RankingInput) -> tuple[Scored, Searched]:
    """Answers queries with documents: by the best checkpoint, the head alone where one was solved, and untuned.

    Returns:
        The answers, and the documents where the best checkpoint puts them.
    """
    best, probe, examples, corpus = answering.best, answering.probe, asked.examples, asked.corpus
    assert corpus is not None and examples.labels is not None
    wanted = [np.array([corpus.places[name] for name in label]) for label in examples.labels]

    def found_by(artifact: Artifact, *, stored: bool) -> tuple[np.ndarray, np.ndarray]:
        sides = ((artifact, examples.inputs), (artifact.of_documents(), corpus.texts))
        vectors = [part.head_answers(texts)[0] if stored else part.answers(texts) for part, texts in sides]
        queries, documents = vectors
        return found_among(queries, documents, wanted)[1], documents

    of_probe = None if probe is None else found_by(probe, stored=True)
    same = of_probe is not None and answering.kept_the_probe
    if same:
        assert of_probe is not None
        found, documents = of_probe
    else:
        found, documents = found_by(best, stored=answering.on_pretrained)
    scored = Scored(
        kind=best.kind,
        space=best.space,
        ids=list(examples.ids),
        truth=np.array([len(each) for each in wanted], np.int64),
        answers=found,
        probe=None if of_probe is None else of_probe[0],
        groups=examples.groups,
        inputs=examples.inputs,
        columns=examples.columns,
        rivals={best.kind.judging.baseline_name: found_among(*_frozen(answering, examples, corpus), wanted)[1]},
    )
    return scored, Searched(corpus, documents)


def _frozen(answering: Answering, examples: Examples, corpus: Corpus) -> tuple[np.ndarray, np.ndarray]:
    """Returns the backbone's own vectors of queries and of documents."""
    from kft.features.vectors import pooled_vectors

    spec, reader = answering.spec, answering.best.reader
    sources = {
        "queries": reader.read(examples.inputs).source,
        "documents": reader.of_documents().read(corpus.texts).source,
    }
    found = pooled_vectors(pretrained_backbone(answering), sources, spec.model, spec.features)
    return unit_rows(found["queries"]), unit_rows(found["documents"])


def untuned_rivals(answering: Answering, examples: Examples) -> dict[str, np.ndarray]:
    """Returns what the backbone's own vectors say of pairs of texts, by its name; nothing for other tasks."""
    from kft.features.vectors import pooled_vectors

    spec, best = answering.spec, answering.best
    join = best.kind.learning.joined
    if join is None:
        return {}
    sources = {"pairs": best.reader.read(examples.inputs).source}
    found = pooled_vectors(pretrained_backbone(answering), sources, spec.model, spec.features)["pairs"]
    answers = best.kind.judging.answers(join(unit_rows(found)), best.space, None)
    return {best.kind.judging.baseline_name: np.asarray(answers)}
