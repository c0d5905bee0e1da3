"""A small model, an index of forty documents by it, and labelled queries."""

import pandas as pd
import pytest

from tests.search.made import rows, write_model


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("searching") / "model")


@pytest.fixture(scope="session")
def table():
    ids, texts = rows()
    return pd.DataFrame({"id": ids, "text": texts})


@pytest.fixture(scope="session")
def queries(table):
    """Forty name their document by the number that stands in no other; thirty have words that no document has."""
    found = [text.split()[-1].rstrip(".") for text in table["text"]]
    poor = [f"zebra{row} of an unknown kind{row}" for row in range(30)]
    return pd.DataFrame({"query": found + poor, "document": [*table["id"], *["d39"] * len(poor)]})


@pytest.fixture(scope="session")
def built(model, table, queries, tmp_path_factory):
    import kft

    dest = tmp_path_factory.mktemp("indexes") / "index"
    return kft.index(model, table, dest, queries=queries, error=0.3, quiet=True)
