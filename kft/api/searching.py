"""`kft index` and `kft search`: documents that are found by what they mean and by their words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kft.api.reading import progress_for
from kft.deploy.load import is_artifact
from kft.deploy.lookup import resolve
from kft.errors import UsageError
from kft.model.catalog import CATALOG
from kft.notebook import Line, Piece, shows
from kft.registry import nearest
from kft.search import build as room
from kft.search.build import Built, IndexSpec
from kft.search.documents import find_documents, read_queries
from kft.search.duplicates import ALIKE, Duplicates
from kft.search.index import Index, SearchAnswer
from kft.search.index import open_index as open_room
from kft.search.models import is_backbone, is_run, open_model
from kft.search.ranking import RetrievalScores

if TYPE_CHECKING:
    import pandas as pd


@shows
@dataclass(frozen=True)
class OpenIndex:
    """An index that is open: it answers at once, as often as it is asked.

    Attributes:
        index: The index.
    """

    index: Index

    def shown(self) -> Iterator[Piece]:
        about = self.index.about
        model = f"{about.embedding.name} {about.embedding.version}"
        yield Line(self.index.dest, f"{about.documents:,} documents, {about.passages:,} passages", model)

    def search(self, query: str, k: int = 10) -> SearchAnswer:
        """Returns the documents that come nearest to a query; see ``kft.search.index.Index.search``."""
        return self.index.search(query, k)

    def duplicates(self, at_least: float = ALIKE) -> Duplicates:
        """Returns pairs of documents that say nearly the same."""
        return self.index.duplicates(at_least)

    def evaluate(self, queries: str | Path | pd.DataFrame) -> RetrievalScores:
        """Returns how well labelled queries are answered: by words, by vectors and by both, with intervals.

        Args:
            queries: A table with the columns query and document, which is an id.
        """
        return self.index.evaluate(read_queries(_source(queries), self.index.contents.ids))


def index(
    artifact: str | Path,
    documents: str | Path | pd.DataFrame,
    dest: str | Path,
    *,
    text: str | None = None,
    id: str | None = None,  # as the option is called
    queries: str | Path | pd.DataFrame | None = None,
    error: float | None = None,
    passage_tokens: int | None = None,
    overlap_tokens: int | None = None,
    update: bool = False,
    remove_many: bool = False,
    skip_unusable: bool = False,
    width: int | None = None,
    quiet: bool = False,
) -> Built:
    """Builds a search index over documents, or changes one; killed in the middle, the same call goes on.

    Args:
        artifact: A text model that gives vectors: a folder from ``kft.export``, a name on a shelf; a run, whose vectors
            are those of what it would export; or a pretrained backbone as it is, by its name in ``kft models`` or its
            folder. The last two need TensorFlow whenever the index is asked.
        documents: A table with the columns id and text, a folder of .txt, .md, .html and .pdf files, or a DataFrame.
        dest: The folder of the index.
        text: The column of texts; default: one with a usual name.
        id: The column of ids; default: ``id``.
        queries: Labelled queries of the valid kind (query, document): they choose how vectors and words are weighed,
            and give the promise. They stay in the index, and are used again by an update.
        error: The promise: the largest share of wrong first documents among the answered; default: 0.1.
        passage_tokens: How long a passage may be; default: 200, or what the model reads.
        overlap_tokens: What neighbours share at most; default: an eighth of a passage.
        update: Changes an index, so that it holds these documents, and computes what is new.
        remove_many: Lets an update take most documents out.
        skip_unusable: Leaves documents out that cannot be used; index.json lists them.
        width: Numbers of a vector that are kept: one of ``train.pairs.widths`` of the model; default: all.
        quiet: Prints no progress.

    Raises:
        DataError: A document cannot be used, or a query names none.
        RunError: There is an index already, it is damaged, or another artifact made it.
        UsageError: The artifact gives no vectors, an argument is not valid, or the extra is not installed.
        StorageError: The disk is full; what was computed stays, and the index is what it was.

    Example:
        >>> import kft
        >>> kft.index("tickets-onnx", "handbook/", "handbook-index").about.passages  # doctest: +SKIP
        412
    """
    shipped = open_model(_model(artifact))
    asked = IndexSpec(
        find_documents(_source(documents), text, id),
        passage_tokens,
        overlap_tokens,
        queries=None if queries is None else _source(queries),
        error=error,
        skip_unusable=skip_unusable,
        update=update,
        remove_many=remove_many,
        width=width,
    )
    progress = progress_for(quiet=quiet)
    for note in asked.documents.notes:
        progress.note(f"read       {note}")
    reader = shipped.about.reader
    if reader.query or reader.document:
        progress.note(f"prompts    {reader.query!r} is put before queries, {reader.document!r} before passages")
    with progress.task("documents", len(asked.documents.ids)) as tick:
        return room.build_index(asked, shipped, Path(dest).expanduser(), tick)


def open_index(dest: str | Path, *, artifact: str | Path | None = None) -> OpenIndex:
    """Opens an index once, to ask it often.

    Args:
        dest: From ``kft.index``.
        artifact: Where the artifact or run that made it lies now; default: where it lay then.

    Raises:
        RunError: There is no index, it is damaged or of a newer kft; or the artifact is another one.
        UsageError: The extra is not installed.

    Example:
        >>> import kft
        >>> kft.open_index("handbook-index").search("how do I return a parcel?").results[0].document  # doctest: +SKIP
        'returns.md'
    """
    return OpenIndex(open_room(Path(dest).expanduser(), None if artifact is None else _model(artifact)))


def _model(named: str | Path) -> Path:
    """Returns the folder of a run, the name or folder of a backbone, or the folder of an artifact."""
    folder = Path(named).expanduser()
    if is_backbone(folder) or (is_run(folder) and not is_artifact(folder)):
        return folder
    if "/" not in str(named) and not folder.exists():  # a name on a shelf has one
        near = nearest(str(named), CATALOG.names())
        raise UsageError(
            f"there is no model {named}" + (f"; did you mean {near}?" if near else ""),
            where=str(folder.absolute()),
            received="no folder, and no backbone of that name",
            expected="a folder from kft export or kft train, SHELF/NAME, or a backbone",
            next_step="kft models lists the backbones",
        )
    return resolve(named)


def _source(given: str | Path | pd.DataFrame) -> Path | pd.DataFrame:
    return Path(given).expanduser() if isinstance(given, (str, Path)) else given
