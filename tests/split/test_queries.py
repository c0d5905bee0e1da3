"""Queries and what answers them: nothing of a query's rows is lost, and test's documents stay sealed."""

from pathlib import Path

import numpy as np
import pytest

from kft.data.corpus import Corpus
from kft.data.examples import Examples
from kft.errors import DataError
from kft.recipe.schema import DataSpec
from kft.split.queries import answer_others, find_answers, learnable
from kft.tasks.cells import as_objects
from kft.tasks.registry import TASKS

SPEC = DataSpec(train="pairs.csv", negative="wrong")


def queries(rows):
    """Examples of (query, document, negative)."""
    ids = as_objects([f"pairs.csv:{place}" for place in range(len(rows))])
    labels = as_objects([(document,) for _, document, _ in rows])
    return Examples(
        ids, [query for query, _, _ in rows], labels, None, columns={"wrong": as_objects([row[2] for row in rows])}
    )


def test_a_query_keeps_the_negatives_of_all_its_rows():
    train = queries([("q", "a", "n1"), ("q", "b", "n2"), ("other", "c", ""), ("q", "b", "n1")])
    part = find_answers({"train": train}, (), SPEC).parts["train"]
    assert part.inputs == ["q", "other"] and list(part.labels) == [("a", "b"), ("c",)]
    assert list(part.negatives) == [("n1", "n2"), ()] and "wrong" not in part.columns
    assert list(part.take(np.array([1, 0])).negatives) == [(), ("n1", "n2")]
    assert list(Examples.concatenate([part, part]).negatives) == [("n1", "n2"), ()] * 2


def test_selection_sees_nothing_that_only_test_names_nor_a_copy_of_it():
    found = find_answers(
        {
            "train": queries([("q1", "a", "n")]),
            "valid": queries([("q2", "b", "")]),
            "test": queries([("q3", "c", "t"), ("q4", "a", "n")]),
        },
        (),
        SPEC,
    )
    assert set(learnable(found.corpus, found.parts).ids) == {"a", "b", "n"}
    copied = Corpus(as_objects(["a", "b", "c", "n", "t", "twin"]), ["a", "b", "c", "n", "t", "c"])
    assert set(learnable(copied, found.parts).ids) == {"a", "b", "n"}


def test_other_queries_are_not_ranked_among_their_own_documents_alone():
    with pytest.raises(DataError, match=r"among the documents of data\.documents, and the run has none") as error:
        answer_others(
            queries([("q", "a", "")]), "new.csv", SPEC, TASKS.get("text-embedding"), Path(), lambda source, base: base
        )
    assert "1 rows" in str(error.value)


def test_a_document_without_text_is_told():
    with pytest.raises(DataError, match="1 documents that rows name cannot be read"):
        find_answers({"train": queries([("q", "&nbsp;", "")])}, (), DataSpec(train="a.csv", html="unescape"))
