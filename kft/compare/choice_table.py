"""The backbones that were measured, as people read them: one row each, and what is wrong with any of them."""

from __future__ import annotations

from dataclasses import dataclass

from kft.recipe.durations import format_count, format_seconds, format_size
from kft.records.choose import BackboneCost, BackboneResult, Choice, TokenFacts
from kft.records.estimate import metric_title

REST = ("to the best", "frozen pass", "size", "reads")


@dataclass(frozen=True)
class ChoiceRow:
    """One backbone.

    Attributes:
        cells: One text a column of ``header``, in short lines.
        recommended: Whether the verdict names it.
    """

    cells: tuple[str, ...]
    recommended: bool


def header(found: Choice) -> tuple[str, ...]:
    """Returns the titles of the columns."""
    title = metric_title(found.metric)
    return ("backbone", *(f"{title}, {approach}" for approach in _approaches(found)), *REST)


def rows_of(found: Choice) -> list[ChoiceRow]:
    """Returns one row for each backbone that was measured."""
    return [_row(each, found, each.cost) for each in found.backbones if each.cost is not None]


def remarks_on(found: Choice) -> list[tuple[str, str]]:
    """Returns what is wrong with any backbone, and why any was not measured: a word, and a sentence."""
    flagged = [("flagged", f"{each.name}: {flag}") for each in found.backbones for flag in each.flags]
    return flagged + [("skipped", f"{each.name}: {each.skipped}") for each in found.backbones if each.skipped]


def as_markdown(found: Choice) -> str:
    """Returns table, remarks and recommendation as Markdown."""
    titles = header(found)
    lines = [
        f"# Backbones on {found.n:,} examples of train and valid, out of fold",
        "",
        f"**{found.verdict.backbone or 'none'}**: {found.verdict.why}.",
        "",
        "| " + " | ".join(titles) + " |",
        "|" + " --- |" * len(titles),
    ]
    lines += ["| " + " | ".join(map(_in_one_line, row.cells)) + " |" for row in rows_of(found)]
    lines += ["", *(f"- {word}: {_in_one_line(remark)}" for word, remark in remarks_on(found))]
    notes = (
        "Intervals are 95 %; those of the differences hold together. The test split plays no part. Frozen pass: wall "
        "and CPU seconds over all examples where none is stored; multiplications of one example, by which cheap is "
        "told. Size: parameters; what the weights take in memory, and on disk."
    )
    return "\n".join([*lines, "", notes, ""])


def _approaches(found: Choice) -> tuple[str, ...]:
    return next(tuple(each.metrics) for each in found.backbones if each.metrics is not None)


def _row(each: BackboneResult, found: Choice, cost: BackboneCost) -> ChoiceRow:
    assert each.metrics is not None and each.paired is not None
    gap = each.paired[found.approach]
    about = [each.name, each.languages, each.licence or ("" if each.weights == "random" else "licence not known")]
    return ChoiceRow(
        cells=(
            "\n".join(part for part in about if part),
            *(str(metrics[found.metric]).replace(" ", "\n", 1) for metrics in each.metrics.values()),
            "best" if each.name == found.verdict.best else f"{gap.value:+.3f}\n[{gap.low:+.3f}, {gap.high:+.3f}]",
            _frozen(cost),
            _size(cost),
            _tokens(each.tokens),
        ),
        recommended=each.name == found.verdict.backbone,
    )


def _size(cost: BackboneCost) -> str:
    return f"{format_count(cost.parameters)}\n{format_size(cost.memory_bytes)}\n{format_size(cost.disk_bytes)} disk"


def _frozen(cost: BackboneCost) -> str:
    work = f"{format_count(cost.multiply_adds)} products"
    if cost.frozen_seconds is None or cost.frozen_cpu_seconds is None:
        return f"not timed\n{work}"
    return f"{format_seconds(cost.frozen_seconds)}\n{format_seconds(cost.frozen_cpu_seconds)} CPU\n{work}"


def _tokens(facts: TokenFacts | None) -> str:
    if facts is None:
        return "images"
    unknown = "" if facts.unknown is None else f"\n{100 * facts.unknown:.1f} % unknown"
    return f"{facts.pieces:.2f} pieces a word{unknown}\n{100 * facts.lost:.1f} % behind {facts.window:,}"


def _in_one_line(cell: str) -> str:
    return cell.replace("\n", ", ").replace("|", "\\|")
