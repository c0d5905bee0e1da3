"""What references name, and which names there are."""

import pytest

from kft.deploy.standing import ShelfReference, names_on, parse_reference
from kft.errors import UsageError


@pytest.mark.parametrize(
    ("text", "shelf_", "name", "pick"),
    [
        ("shelf/tickets", "shelf", "tickets", "champion"),
        ("shelf/tickets/", "shelf", "tickets", "champion"),
        ("/a@b/tickets@challenger", "/a@b", "tickets", "challenger"),
        ("/a@b/tickets", "/a@b", "tickets", "champion"),
        ("/tickets@12", "/", "tickets", 12),
        ("tickets@1", ".", "tickets", 1),
        ("gs://bucket/shelf/tickets@3", "gs://bucket/shelf", "tickets", 3),
    ],
)
def test_references(text, shelf_, name, pick):
    assert parse_reference(text) == ShelfReference(shelf_, name, pick)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("shelf/tickets@champoin", "unknown alias 'champoin'; did you mean 'champion'?"),
        ("shelf/tickets@0", "unknown alias '0'"),
        ("shelf/tickets@-1", "unknown alias '-1'"),
        ("shelf/tickets@\u0661", "unknown alias '\u0661'"),
        ("shelf/.hidden", "this is no name for a model on a shelf"),
        ("shelf/..", "this is no name for a model on a shelf"),
        ("shelf/a b", "this is no name for a model on a shelf"),
        ("", "this is no name for a model on a shelf"),
    ],
)
def test_references_that_are_none(text, said):
    with pytest.raises(UsageError) as caught:
        parse_reference(text)
    assert caught.value.problem == said


def test_the_last_names_are_read_from_what_is_there(tmp_path):
    assert names_on(str(tmp_path / "none")) == ()
    (tmp_path / "shelf" / "half" / "1").mkdir(parents=True)
    (tmp_path / "shelf" / "notes.txt").write_text("a file is no name")
    assert names_on(str(tmp_path / "shelf")) == ()
