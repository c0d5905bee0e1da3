"""`kft index` and `kft search`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rich_click as click
from rich.table import Table

from kft.characters import visible
from kft.cli.common import console, debug_option, json_option, output_options, print_json
from kft.errors import UsageError
from kft.terminal import echo

if TYPE_CHECKING:
    from kft.api.searching import OpenIndex
    from kft.search.index import SearchAnswer

SHOWN = 300
"""Characters of a passage that are shown; --json has all of it."""


@click.command()
@click.argument("artifact", metavar="MODEL")
@click.argument("documents")
@click.option("-o", "--output", "dest", required=True, metavar="DEST", help="The folder of the index.")
@click.option("--text", metavar="COLUMN", help="The column of texts; default: one with a usual name.")
@click.option("--id", "id_", metavar="COLUMN", help="The column of ids; default: id.")
@click.option("--queries", metavar="FILE", help="Labelled queries (query, document): they weigh vectors and words.")
@click.option("--error", type=float, help="Largest share of wrong first documents among the answered; default 0.1.")
@click.option("--passage-tokens", type=int, metavar="N", help="Longest passage; default 200, or what the model reads.")
@click.option("--overlap-tokens", type=int, metavar="N", help="Shared by neighbours; default an eighth of a passage.")
@click.option("--update", is_flag=True, help="Change an index to hold DOCUMENTS, and compute what is new.")
@click.option("--remove-many", is_flag=True, help="Let an update take most documents out.")
@click.option("--skip-unusable", is_flag=True, help="Leave documents out that cannot be used; index.json lists them.")
@click.option("--width", type=int, metavar="N", help="Numbers of a vector that are kept, of those it was trained for.")
@output_options
def index(
    artifact: str,
    documents: str,
    dest: str,
    text: str | None,
    id_: str | None,
    queries: str | None,
    error: float | None,
    passage_tokens: int | None,
    overlap_tokens: int | None,
    update: bool,
    remove_many: bool,
    skip_unusable: bool,
    width: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make DOCUMENTS searchable: a table with the columns id and text, or a folder of .txt, .md, .html and .pdf files.

    MODEL gives vectors of texts: a folder from kft export, a name on a shelf, a run folder, or a pretrained backbone
    as it is, such as minilm-l6 (kft models lists them). Killed in the middle, the same command goes on.
    """
    from kft.api import searching

    done = searching.index(
        artifact,
        documents,
        dest,
        queries=queries,
        quiet=quiet,
        text=text,
        id=id_,
        error=error,
        passage_tokens=passage_tokens,
        overlap_tokens=overlap_tokens,
        update=update,
        remove_many=remove_many,
        skip_unusable=skip_unusable,
        width=width,
    )
    if as_json:
        print_json(done)
        return
    about = done.about
    echo(f"index      {done.index}: {about.documents:,} documents, {about.passages:,} passages", err=True)
    echo(f"documents  {done.added:,} added, {done.changed:,} changed, {done.removed:,} removed", err=True)
    echo(f"computed   {done.computed:,} vectors by {about.embedding.name} {about.embedding.version}", err=True)
    if about.n_left_out:
        first = about.left_out[0]
        echo(f"left out   {about.n_left_out:,}, the first {visible(first.document)}: {first.why}", err=True)
    if done.queries_lost:
        echo(f"queries    {done.queries_lost:,} of the index's own have lost their documents", err=True)
    weighing, promise = about.weighing, about.promise
    by = f"chosen by {weighing.queries:,} queries" if weighing.queries else "the usual one; --queries FILE chooses it"
    echo(f"weight     words {weighing.words:.2f}, vectors {1 - weighing.words:.2f}: {by}", err=True)
    if promise is not None:
        kept = "none"
        if promise.threshold is not None:
            kept = f"a score below {promise.threshold:.3f} is no good answer"
        if promise.threshold == 0:
            kept = f"every query has an answer: at most {promise.error:.0%} of the first documents are wrong"
        echo(f"promise    {promise.why or kept}", err=True)


@click.command()
@click.argument("dest")
@click.argument("query", required=False)
@click.option("-k", type=click.IntRange(1), default=10, show_default=True, help="Documents at most; pairs likewise.")
@click.option("--duplicates", is_flag=True, help="List documents that say nearly the same.")
@click.option("--at-least", type=float, default=0.95, show_default=True, help="For --duplicates: the least cosine.")
@click.option("--evaluate", "queries", metavar="QUERIES", help="Score labelled queries (query, document).")
@click.option("--artifact", metavar="FOLDER", help="Where the artifact or run lies now, if it was moved.")
@json_option
@debug_option
def search(
    dest: str,
    query: str | None,
    k: int,
    duplicates: bool,
    at_least: float,
    queries: str | None,
    artifact: str | None,
    as_json: bool,
) -> None:
    """Find the documents of the index DEST that answer QUERY, each with its passage that comes nearest."""
    from kft.api import searching

    if (query is not None) + duplicates + (queries is not None) != 1:
        raise UsageError("one thing at a time", expected="a query, --duplicates or --evaluate QUERIES")
    opened = searching.open_index(dest, artifact=artifact)
    if duplicates:
        _print_duplicates(opened, at_least, k, as_json)
    elif queries is not None:
        _print_judged(opened, queries, as_json)
    elif query is not None:
        found = opened.search(query, k)
        if as_json:
            print_json(found)
        else:
            _print_found(found)


def _print_found(found: SearchAnswer) -> None:
    out = console()
    if found.unread:
        echo(f"note       the model does not read the last {found.unread:,} tokens of the query", err=True)
    if found.abstain:
        out.tell("no good answer; the nearest documents:")
    for rank, each in enumerate(found.results, 1):
        out.tell(f"{rank:>2}  {each.score:.3f}  {visible(each.document)} [{each.start}:{each.stop}]")
        text = " ".join(each.text.split())
        out.tell("    " + visible(text if len(text) <= SHOWN else text[:SHOWN] + " ..."))


def _print_duplicates(opened: OpenIndex, at_least: float, k: int, as_json: bool) -> None:
    found = opened.duplicates(at_least)
    if as_json:
        print_json(found)
        return
    out = console()
    for pair in found.pairs[:k]:
        how = "same text" if pair.same else f"{pair.cosine:.3f}"
        out.tell(f"{how:<10} {visible(pair.first)} | {visible(pair.second)}")
    more = f"; -k {len(found.pairs)} shows all" if len(found.pairs) > k else ""
    echo(f"{len(found.pairs):,} pairs of documents are nearly alike{more}", err=True)
    if not found.complete:
        echo("note       more than a million passages are alike: the search ended there", err=True)


def _print_judged(opened: OpenIndex, queries: str, as_json: bool) -> None:
    from kft.records.estimate import metric_title, percent

    found = opened.evaluate(queries)
    if as_json:
        print_json(found)
        return
    table = Table("", *map(metric_title, next(iter(found.metrics.values()))), title=f"{found.n:,} queries")
    for way, values in found.metrics.items():
        table.add_row(way, *map(str, values.values()))
    for way, values in found.differences.items():
        table.add_row(f"hybrid - {way}", *map(str, values.values()))
    out = console()
    out.print(table)
    if found.fitted_to:
        out.tell(f"note       {found.fitted_to:,} of these queries chose the weight: the hybrid's figures are too good")
    if found.answered is not None:
        wrong = "" if found.errors is None else f", of these {percent(found.errors.value)} with a wrong first document"
        out.tell(f"answered   {percent(found.answered.value)}{wrong}")


COMMANDS = (index, search)
