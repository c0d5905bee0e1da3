"""The check of documents: one planted of each, and one clean."""

import numpy as np

from kft.audit.checks.documents import find_learned, find_twice, find_unreached
from kft.data.corpus import Corpus
from kft.data.examples import Examples
from kft.tasks.cells import as_objects

TEXTS = ["How to return a parcel.", "Opening hours of all shops", "how to return a parcel", "What a courier costs"]
CORPUS = Corpus(as_objects(list("abcd")), TEXTS)


def queries(*labels):
    return Examples(
        as_objects([f"q{row}" for row in range(len(labels))]), ["?"] * len(labels), as_objects(labels), None
    )


def test_a_document_that_stands_there_twice_is_found():
    (found,) = find_twice(CORPUS)
    assert (found.severity, found.rows, found.details["copy_of"]) == ("warning", ("c",), ["a"])
    assert found.message.startswith("1 of 4 documents say what another says, 1 of them to the letter")
    assert not list(find_twice(CORPUS.take(np.array([0, 1, 3]))))


def test_documents_that_no_query_reaches_are_counted():
    (found,) = find_unreached(CORPUS, [queries(("a",)), queries(("a", "b"))])
    assert found.rows == ("c", "d") and "2 of 4 documents (50 %)" in found.message
    assert not list(find_unreached(CORPUS, [queries(("a", "b", "c"))]))


def test_test_queries_for_documents_that_train_knows_are_said():
    (found,) = find_learned(CORPUS, queries(("a",), ("d",)), queries(("b",), ("a",), ("d", "b")))
    assert found.rows == ("q1",) and found.severity == "warning"
    assert not list(find_learned(CORPUS, queries(("a",)), queries(("b",), ("a", "b"))))
