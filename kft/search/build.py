"""Builds and updates an index. It is what it was until index.json is replaced; killed before, it goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from kft.errors import DataError, RunError, UsageError
from kft.model.catalog import CATALOG
from kft.records.document import read_document
from kft.records.files import ELSEWHERE, storage_errors, utc_now, write_file
from kft.records.index import NAME, AboutIndex, Cutting, Embedding, LeftOut, Weighing, read_index, write_index
from kft.search.contents import GRAPH, QUERIES, WORDS, Contents, StoredDocument, write_texts
from kft.search.documents import Documents, read_queries, refuse_unusable
from kft.search.embedding import KnownVectors, Tick, embed
from kft.search.index import Index, require_same
from kft.search.models import Embedder, kind_of, run_of
from kft.search.passages import cut_documents, plan_cutting
from kft.search.ranking import USUAL_WORDS, fit
from kft.search.scores import EXACT, Scorer, write_graph
from kft.search.words import MODULE, index_words, require_package, save_words

if TYPE_CHECKING:
    import pandas as pd

UNFINISHED, BLOCKS, STAGE, LOCK = "unfinished", "blocks", "stage", ".lock"
FIRST = "000001"
"""The folder of the files of a new index."""
DOCUMENTS_AT_ONCE = 256
SHOWN_LEFT_OUT = 100
MANY = 0.5
"""Share of the documents that an update takes out only where it is told to: more are hardly meant."""
ERROR = 0.1


@dataclass(frozen=True)
class IndexSpec:
    """What an index is to be.

    Attributes:
        documents: All that it holds afterwards.
        passage_tokens: As asked for; None: the usual, or as the index has them.
        overlap_tokens: Likewise.
        queries: Labelled queries; None: those that the index has, if any.
        error: The largest share of wrong first documents among the answered; None: 0.1, or what was promised before.
        skip_unusable: Leaves documents out that cannot be used.
        update: Changes an index that is there.
        remove_many: Whether an update may take most documents out.
        width: Numbers of a vector that are kept, one of the model's widths; None: all, or as the index has them.
        exact_up_to: Passages that are compared one by one; of more there is a graph.
    """

    documents: Documents
    passage_tokens: int | None = None
    overlap_tokens: int | None = None
    queries: Path | pd.DataFrame | None = None
    error: float | None = None
    skip_unusable: bool = False
    update: bool = False
    remove_many: bool = False
    width: int | None = None
    exact_up_to: int = EXACT


@dataclass(frozen=True)
class Built:
    """What was done.

    Attributes:
        index: Its folder.
        about: Its index.json.
        added: Documents that were not there before.
        changed: Those whose text is another.
        removed: Those that are not there any more.
        computed: Passages whose vectors were computed.
        queries_lost: Labelled queries of the index whose documents are all gone.
    """

    index: Path
    about: AboutIndex
    added: int
    changed: int
    removed: int
    computed: int
    queries_lost: int = field(default=0)


def build_index(wanted: IndexSpec, shipped: Embedder, dest: Path, tick: Tick = lambda count: None) -> Built:
    """Builds an index, or changes the one that is there.

    Args:
        wanted: What it is to be.
        shipped: The model.
        dest: Where to.
        tick: Is told of passages whose vectors were computed.

    Raises:
        DataError: A document cannot be used, or there is none; a query names none.
        RunError: There is an index already, or none to update; it is damaged, or was made by another model; another
            process is at work in it.
        UsageError: A package is not installed, or passages cannot be cut so.
        StorageError: The disk is full or the folder cannot be written; what was computed stays.
    """
    require_package(MODULE, "the words of passages")
    before = _read_before(wanted, shipped, dest)
    plan = _plan(wanted, shipped, before)
    with _held(dest):
        _require_still(dest, before)
        work = dest / UNFINISHED
        shutil.rmtree(work / STAGE, ignore_errors=True)
        left_out: list[LeftOut] = []
        contents = write_texts(work / STAGE, _written(wanted, shipped, plan, left_out))
        if not wanted.skip_unusable:
            refuse_unusable(left_out, wanted.documents.where)
        if not contents.ids:
            raise DataError(
                "no document can be used",
                where=wanted.documents.where,
                received=f"{left_out[0].document}: {left_out[0].why}" if left_out else "no document",
                expected="at least one with text",
                next_step="mend the documents, or name another folder or table",
            )
        old = None if before is None else Contents(dest / before.folder)
        changes = _changes(old, contents)
        _refuse_many(wanted, changes, old)
        known = _known(shipped, old, work / BLOCKS, plan.width)
        computed = embed(contents, shipped, known, tick, width=plan.width)
        save_words(index_words(contents.passage_texts()), contents.folder / WORDS)
        approximate = len(contents.passages) > wanted.exact_up_to
        if approximate:
            write_graph(contents)
        queries, lost = _queries(wanted, old, contents)
        write_file(contents.folder / QUERIES, json.dumps(queries, ensure_ascii=False))
        about = _about(wanted, shipped, plan, contents, left_out)
        opened = Index(dest, about, contents, shipped, Scorer(contents, approximate))
        weighing, promise = fit(contents, opened.find, queries, plan.error)
        about = replace(about, weighing=weighing, promise=promise)
        about = _publish(dest, about, before)
    return Built(dest, about, *changes, computed, lost)


@dataclass(frozen=True)
class _Plan:
    cutting: Cutting
    error: float
    width: int | None


def _read_before(wanted: IndexSpec, shipped: Embedder, dest: Path) -> AboutIndex | None:
    there = (dest / NAME).is_file()
    if wanted.update:
        before = read_index(dest)
        require_same(before, shipped.folder, dest)
        return before
    if there or (dest.exists() and (not dest.is_dir() or not _is_left(dest))):
        raise RunError(
            "there is an index already" if there else "the folder is not empty, and no index",
            where=str(dest),
            received=NAME if there else "something that kft index did not write",
            expected="a new folder, or one where kft index was killed",
            next_step="--update changes the index, or -o ANOTHER" if there else "-o ANOTHER",
        )
    return None


def _require_still(dest: Path, before: AboutIndex | None) -> None:
    """Refuses an index that another process has built or changed between the look at it and the lock."""
    now = read_document(AboutIndex, dest / NAME) if (dest / NAME).is_file() else None
    if (now and (now.folder, now.digest)) != (before and (before.folder, before.digest)):
        raise RunError(
            "another process has built or changed this index meanwhile",
            where=str(dest),
            received="another index.json than when this call began",
            expected="one process at a time",
            next_step="run the command again, with --update where it is to be changed",
        )


def _is_left(dest: Path) -> bool:
    """Whether a folder holds nothing, or what a killed build has left."""
    names = {each.name for each in dest.iterdir()}
    return not names or (UNFINISHED in names and names <= {UNFINISHED, LOCK, FIRST}) or names == {LOCK}


def _plan(wanted: IndexSpec, shipped: Embedder, before: AboutIndex | None) -> _Plan:
    reader = shipped.about.reader
    whole = shipped.vectors(["a text"]).shape[1]  # refuses a model without vectors before anything is read
    size, overlap = wanted.passage_tokens, wanted.overlap_tokens
    if before is not None:
        size = before.cutting.passage_tokens if size is None else size
        overlap = before.cutting.overlap_tokens if overlap is None else overlap
    width = _width(wanted, shipped, before, whole)
    added = shipped.tokenizer.num_special_tokens_to_add(False)
    added += len(shipped.tokenizer.encode(reader.document, add_special_tokens=False).ids)
    promised = before.promise.error if before is not None and before.promise is not None else ERROR
    error = promised if wanted.error is None else wanted.error
    if not 0 < error < 1:
        raise UsageError("no share of errors", where="--error", received=str(error), expected="above 0 and below 1")
    return _Plan(plan_cutting(reader.max_tokens - added, size, overlap), error, width)


def _width(wanted: IndexSpec, shipped: Embedder, before: AboutIndex | None, whole: int) -> int | None:
    """Returns how many numbers of a vector are kept; None for all."""
    had = None if before is None or before.embedding.width == whole else before.embedding.width
    width, able = wanted.width, shipped.about.widths
    if width is None or width == (had or whole):
        return had
    if before is not None or width not in able:
        raise UsageError(
            "vectors are not cut to that width",
            where="--width",
            received=str(width),
            expected=f"{before.embedding.width}, as the index has them"
            if before is not None
            else ", ".join(map(str, dict.fromkeys((*able, whole)))) + ", which the model was trained for",
            next_step="leave --width out" if before is not None or not able else f"--width {able[0]}",
        )
    return width


def _written(wanted: IndexSpec, shipped: Embedder, plan: _Plan, left_out: list[LeftOut]) -> Iterator[StoredDocument]:
    """Yields documents that can be used, cut; notes the others."""
    texts = wanted.documents.texts()
    while part := list(islice(texts, DOCUMENTS_AT_ONCE)):
        left_out += [LeftOut(name, problem) for name, _, problem in part if problem]
        usable = [(name, text) for name, text, problem in part if not problem]
        passages = cut_documents([text for _, text in usable], shipped.tokenizer, plan.cutting)
        for (name, text), places in zip(usable, passages, strict=True):
            yield StoredDocument(name, text, places)


def _changes(old: Contents | None, new: Contents) -> tuple[int, int, int]:
    """Returns how many documents are added, changed and removed."""
    was = {} if old is None else dict(zip(old.ids, map(bytes, old.digests), strict=True))
    now = dict(zip(new.ids, map(bytes, new.digests), strict=True))
    changed = sum(was[name] != digest for name, digest in now.items() if name in was)
    return len(now.keys() - was.keys()), changed, len(was.keys() - now.keys())


def _refuse_many(wanted: IndexSpec, changes: tuple[int, int, int], old: Contents | None) -> None:
    removed = changes[2]
    if old is not None and removed > MANY * len(old.ids) and not wanted.remove_many:
        raise DataError(
            f"the update would take {removed:,} of {len(old.ids):,} documents out",
            where=wanted.documents.where,
            received=f"{len(wanted.documents.ids):,} documents",
            expected="all documents that the index holds afterwards, not the new ones alone",
            next_step="--remove-many, if it is meant",
        )


def _known(shipped: Embedder, old: Contents | None, blocks: Path, width: int | None) -> KnownVectors:
    known = KnownVectors.read(blocks, shipped.about.digest + (f", {width} wide" if width else ""))
    if old is not None:
        known.add(old.keys, old.vectors)
    return known


def _queries(wanted: IndexSpec, old: Contents | None, new: Contents) -> tuple[Mapping[str, Sequence[str]], int]:
    """Returns the labelled queries, and how many of the index's own have lost all their documents."""
    if wanted.queries is not None:
        return read_queries(wanted.queries, new.ids), 0
    there = set(new.ids)
    kept = (
        {}
        if old is None
        else {query: [name for name in names if name in there] for query, names in old.queries.items()}
    )
    found = {query: names for query, names in kept.items() if names}
    return found, len(kept) - len(found)


def _about(
    wanted: IndexSpec, shipped: Embedder, plan: _Plan, contents: Contents, left_out: Sequence[LeftOut]
) -> AboutIndex:
    about, lies_in = shipped.about, shipped.folder
    if str(lies_in) not in CATALOG and lies_in.exists():  # the name of a backbone is no place
        lies_in = lies_in.resolve()
    return AboutIndex(
        created=utc_now(),
        source=wanted.documents.where,
        documents=len(contents.ids),
        passages=len(contents.passages),
        embedding=Embedding(
            str(lies_in),
            about.name,
            about.version,
            about.digest,
            contents.vectors.shape[1],
            about.checkpoint,
            kind_of(shipped.folder),
            run_of(shipped.folder),
        ),
        cutting=plan.cutting,
        approximate=(contents.folder / GRAPH).is_file(),
        weighing=Weighing(USUAL_WORDS),
        promise=None,
        left_out=tuple(left_out[:SHOWN_LEFT_OUT]),
        n_left_out=len(left_out),
        folder="",
        files={},
    )


def _publish(dest: Path, about: AboutIndex, before: AboutIndex | None) -> AboutIndex:
    """Brings the files to their place, has index.json name them, and removes what it does not name."""
    number = 1 + (int(before.folder) if before is not None else 0)
    about = replace(about, folder=f"{number:06d}")
    with storage_errors(dest, ELSEWHERE):
        shutil.rmtree(dest / about.folder, ignore_errors=True)  # of a build that was killed here
        (dest / UNFINISHED / STAGE).rename(dest / about.folder)
    about = write_index(dest, about)
    shutil.rmtree(dest / UNFINISHED, ignore_errors=True)
    if before is not None:
        shutil.rmtree(dest / before.folder, ignore_errors=True)
    return about


@contextmanager
def _held(dest: Path) -> Iterator[None]:
    with storage_errors(dest, ELSEWHERE):
        dest.mkdir(parents=True, exist_ok=True)
        lock = FileLock(str(dest / LOCK))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise RunError(
                "another process is at work in this index",
                where=str(dest),
                expected="one process at a time",
                next_step="wait for it, or end it first",
            ) from None
    try:
        yield
    finally:
        lock.release()
