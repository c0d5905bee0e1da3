"""Documents and queries: tables, folders, and one message each for what is wrong with them."""

import pandas as pd
import pytest

from kft.errors import DataError
from kft.search.documents import find_documents, read_queries


def frame(**columns):
    return pd.DataFrame(columns)


def test_a_folder_has_paths_for_ids_and_tells_what_cannot_be_read(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.md").write_text("# Returns")
    (tmp_path / "deep" / "b.html").write_text("<p>Hello<script>no()</script></p>")
    (tmp_path / "c.txt").write_text(" ")
    (tmp_path / "d.pdf").write_bytes(b"%PDF-1.4 broken")
    found = {name: (text.strip(), why) for name, text, why in find_documents(tmp_path).texts()}
    assert found["a.md"] == ("# Returns", "") and found["deep/b.html"] == ("Hello", "")
    assert found["c.txt"] == ("", "empty text") and found["d.pdf"][1].startswith("the PDF")


def test_one_document_alone(tmp_path):
    (tmp_path / "a.md").write_text("# Returns")
    assert list(find_documents(tmp_path / "a.md").texts()) == [("a.md", "# Returns", "")]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (frame(text=["a"]), "no column 'id'"),
        (frame(id=["a"], other=["b"]), "no column 'text'"),
        (frame(id=["a", "a"], text=["b", "c"]), "an id stands for two documents"),
        (frame(id=["a", " "], text=["b", "c"]), "an id is empty"),
        (frame(id=["a\tb"], text=["b"]), "an id holds a character that cannot be printed"),
    ],
)
def test_what_is_no_table_of_documents(table, message):
    with pytest.raises(DataError, match=message):
        find_documents(table)


def test_an_empty_folder(tmp_path):
    with pytest.raises(DataError, match="there is no document"):
        find_documents(tmp_path)


def test_columns_can_be_named():
    found = find_documents(frame(key=[7], words=["b"], text=["c"]), "words", "key")
    assert list(found.texts()) == [("7", "b", "")]


def test_a_query_in_several_rows_has_several_documents():
    table = frame(query=["who", "who ", "what"], document=["a", "b", "a"])
    assert read_queries(table, ["a", "b"]) == {"who": ["a", "b"], "what": ["a"]}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (frame(query=["a"]), "no column 'document'"),
        (frame(query=[""], document=["a"]), "empty query"),
        (frame(query=["a", "b"], document=["a", "z"]), "1 of 2 queries name a document that is not in the index"),
    ],
)
def test_what_are_no_queries(table, message):
    with pytest.raises(DataError, match=message):
        read_queries(table, ["a"])


def test_a_column_that_was_chosen_among_several_and_an_encoding_that_was_guessed_are_told(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("id,sentence,body\n1,a,caf\xe9\n".encode("windows-1252"))
    found = find_documents(path)
    said = "texts are the column 'body'; 'sentence' could be meant too: --text names the column"
    assert found.cells == ["caf\xe9"] and "windows-1252" in found.notes[0] and found.notes[-1] == said
    assert len(find_documents(path, "sentence").notes) == 1
