"""`kft compare`."""

from __future__ import annotations

import json
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Literal

import rich_click as click
from rich.table import Table
from rich.text import Text

from kft.characters import visible
from kft.cli.common import WIDEST, console, devices_option, load_named, output_options, print_json, terms_option
from kft.errors import UsageError

if TYPE_CHECKING:
    from kft.api.comparing import CompareResult

WIDTHS = (10, None, 14, 16, 14, 9, 14)
"""Of the columns; that of what an approach is best for takes the rest."""
NEXT = {
    "majority": "kft check {recipe}",
    "linear": "scikit-learn's TfidfVectorizer and LogisticRegression, with C as in compare.json (docs/compare.md)",
    "names": "label some examples where it is wrong, then run kft compare again",
    "prompting": "the prompt is in compare.json, chosen; label rows where it is wrong, then run kft compare again",
    "retrieval": "label more examples, then run kft compare again: it wins where labels are few",
    "probe": "kft train {recipe} --set 'train.phases=[{{name: probe, unfreeze: none, solver: lbfgs}}]'",
    "blend": "kft train {recipe} --set 'train.phases=[{{name: blend, unfreeze: none, solver: blend}}]'",
    "constant": "kft check {recipe}",
    "words": "scikit-learn's TfidfVectorizer and the cosine of its rows (docs/compare.md)",
    "bm25": "kft index BACKBONE DOCUMENTS -o DEST: a query's words count there beside its vector",
    "frozen": "kft index BACKBONE DOCUMENTS -o DEST, with the recipe's backbone: it needs no training",
    "hybrid": "kft index BACKBONE DOCUMENTS -o DEST --queries VALID, with the recipe's backbone: it needs no training",
    "zero-shot": "the prompt is in compare.json, chosen; kft generate writes for tuned runs alone",
    "few-shot": "the prompt is in compare.json, chosen; kft generate writes for tuned runs alone",
    "retrieved-shots": "the prompt is in compare.json, chosen; kft generate writes for tuned runs alone",
    "zero-shot+passages": "more documents in the index, or a better search: kft search DEST --evaluate QUERIES",
    "scratch": "kft train {recipe} --set model.weights=random",
}


@click.command()
@click.argument("recipe")
@click.option("--approaches", metavar="A,B", help="Only these; default: all but those that are hopeless by rule.")
@click.option("--run", "run_folder", metavar="DIR", help="A new folder; default runs/<recipe name>-compare-<n>.")
@click.option(
    "--budget",
    metavar="MINUTES",
    type=click.FloatRange(min=0),
    help="The most that one approach may take, estimated by size; default 60.",
)
@click.option(
    "--curve",
    type=click.Choice(["cheap", "tuned"]),
    default="cheap",
    help="tuned: also train the best that is trained on half of the rows, to see what the second half brought.",
)
@click.option(
    "--language-model",
    metavar="NAME",
    help="The decoder that approach prompting asks, such as gemma3-270m; default: the backbone where it is one.",
)
@click.option(
    "--tuned",
    multiple=True,
    metavar="RUN",
    help="A run of causal-lm on the same split, in place of training; may be given again.",
)
@click.option("--index", metavar="DEST", help="Of causal-lm: also answer from passages of this index, data.index.")
@click.option("--set", "overrides", metavar="K=V", multiple=True, help="Override a setting; may be repeated.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Override the recipe's seed.")
@click.option("--resume", is_flag=True, help="Go on with the comparison that was cut short, in --run or the latest.")
@devices_option
@terms_option
@output_options
def compare(
    recipe: str,
    approaches: str | None,
    run_folder: str | None,
    budget: float | None,
    overrides: tuple[str, ...],
    seed: int | None,
    resume: bool,
    curve: Literal["cheap", "tuned"],
    language_model: str | None,
    tuned: tuple[str, ...],
    index: str | None,
    devices: str,
    as_json: bool,
    quiet: bool,
) -> int:
    """Measure whether to train from scratch, to fine-tune or only to prompt, on the data of RECIPE.

    Approaches, cheapest first: majority, linear, names, retrieval, probe, blend, prompting, lora, top, full,
    scratch; for text-embedding bm25, frozen, hybrid, head, lora, top, full; for text-similarity constant, words,
    frozen, head, lora, top, full; for causal-lm majority, retrieval,
    zero-shot, few-shot, retrieved-shots, zero-shot+passages, lora, top, full, the last three also with +passages.
    The choice is made on train and valid, out of fold by what is cheap; the test split is opened once.
    """
    from kft.api import comparing as api
    from kft.compare.compare import BUDGET_MINUTES
    from kft.compare.language_model import PROMPTING

    names = None if approaches is None else [name.strip() for name in approaches.split(",") if name.strip()]
    if language_model is not None:
        if names is not None and PROMPTING not in names:
            raise UsageError(
                "a language model is asked by approach prompting alone",
                where="--language-model",
                received=f"--approaches {approaches}",
                expected="prompting among the approaches, or --approaches left out",
                next_step=f"--approaches {approaches},prompting",
            )
        overrides = (*overrides, f"compare.language_model={language_model}")
    if index is not None:
        overrides = (*overrides, f"data.index={Path(index).expanduser().absolute()}")
    result = api.compare(
        load_named(recipe, overrides, seed),
        approaches=names,
        run=run_folder,
        devices=devices,
        budget=BUDGET_MINUTES if budget is None else budget,
        quiet=quiet,
        resume=resume,
        curve=curve,
        tuned=tuned,
    )
    if as_json:
        print_json(result)
    else:
        _print(result, recipe)
    return 0


def _print(result: CompareResult, recipe: str) -> None:
    from kft.compare.table import header, rows_of, say_more_labels

    out = console()
    table = Table(box=None, padding=(0, 2, 1, 0), pad_edge=False, width=min(out.width, WIDEST))
    for title, width in zip(header(result.metric), WIDTHS, strict=True):
        table.add_column(title, min_width=width, ratio=None if width else 1)
    for row in rows_of(result.approaches, result.verdict, result.metric):
        style = "bold" if row.recommended else "dim" if row.skipped else ""
        # The line breaks within a cell are ours; what comes from data stays one line.
        cells = ("\n".join(map(visible, cell.split("\n"))) for cell in row.cells)
        table.add_row(*map(Text, cells), style=style)
    out.print(table)
    verdict = result.verdict
    out.tell(f"verdict    {verdict.approach}: {verdict.why}", most=WIDEST)
    if more := say_more_labels(result.approaches, result.metric):
        out.tell(f"labels     {more}", most=WIDEST)
    out.tell(f"test       {result.n:,} examples, opened once, after the choice was made; 95 % intervals")
    out.tell(f"seconds    {result.seconds:.0f}")
    out.tell(f"files      {result.run}: compare.json, compare.md, recipe.yaml, receipt.json, splits.parquet")
    out.tell(f"next       {_next_step(result, recipe)}")


def _next_step(result: CompareResult, recipe: str) -> str:
    name = result.verdict.approach
    chosen = next((each.chosen for each in result.approaches if each.name == name), None) or {}
    if "phases" not in chosen:
        return NEXT[name].format(recipe=quote(recipe))
    command = f"kft train {quote(recipe)} --set {quote('train.phases=' + json.dumps(chosen['phases']))}"
    return command + (", then kft index --queries" if "words" in chosen else "")


COMMANDS = (compare,)
