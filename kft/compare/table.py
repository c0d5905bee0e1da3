"""The well-known table, from scratch, fine-tuning or prompting: best for, cost, speed, risk; with measured figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kft.compare.approaches import APPROACHES
from kft.compare.written_names import BEST_FOR
from kft.recipe.durations import format_count, format_seconds, format_size
from kft.records.compare import ApproachResult, Comparison, Slope, Verdict
from kft.records.estimate import figure, figures

FINDING = {
    "bm25": "exact words and names; nothing to train, no backbone",
    "frozen": "other words for the same; no labelled queries",
    "hybrid": "both; the most without tuning",
    "head": "a few hundred labelled queries, seconds of training",
    "lora": "many indexes on one backbone: small files",
    "top": "a thousand labelled queries",
    "full": "thousands of labelled queries, words used in another sense",
    **{f"{name}+words": "the same, as an index weighs it with words" for name in ("head", "lora", "top", "full")},
}
"""What approaches are best for where queries are answered with documents; see ``kft.search.comparing``."""
SCORING = {
    "constant": "a yardstick: it reads nothing",
    "words": "texts that share words; no scores, no backbone",
    "frozen": "other words for the same; no scores",
    "head": "a few hundred scores, seconds of training",
    "lora": "many tasks on one backbone: small files",
    "top": "a thousand scores",
    "full": "thousands of scores, words used in another sense",
}
"""Likewise where two texts get a score; see ``kft.compare.graded``."""
NOTES = (
    "Intervals are 95 %. The choice was made on train and valid, answered out of fold by what is cheap; what is "
    "trained on train was judged by valid. Each difference to the best says on how many rows it stands. The test "
    "split was opened once, after it. Cost: wall seconds of fitting, with the frozen pass as if nothing were "
    "stored; trained parameters; bytes to keep, the backbone included. Speed: examples a second from raw input. "
    "Risk: how much better the answers are on training rows than on those not seen; the calibration error on "
    "test; the share of the pretrained backbone's ability on the retain set that a tuned one retains."
)
FINDING_NOTES = (
    "Intervals are 95 %, by query. The choice was made on valid: its queries among all documents but those of test "
    "alone; the weight of words beside tuned vectors was chosen on one half of valid for the other. The test split was "
    "opened once, after it, among all documents. Cost: wall seconds of fitting, with the documents' vectors as if "
    "none were stored; trained parameters; bytes to keep, the backbone included. Speed: queries a second, the "
    "documents' vectors known. Risk is not measured for searches."
)
SCORING_NOTES = (
    "Intervals are 95 %, by pair. The choice was made on valid, by the order of its scores; those of test were read "
    "once, after it. Cost: wall seconds of fitting, with the frozen pass as if nothing were stored; trained "
    "parameters; bytes to keep, the backbone included. Speed: pairs a second from raw input. Risk is not measured here."
)
WRITING_NOTES = (
    "Intervals are 95 %. The choice was made by what was written to valid, where each form of prompt was chosen too; "
    "test's right responses were read once, after it. Cost: wall seconds of choosing or training; trained "
    "parameters; bytes to keep, the model included; tokens of a prompt on average. Speed: answers a second. Risk is "
    "not measured here."
)
HEADER = ("approach", "best for", "{metric}, test", "to the best", "cost", "speed", "risk")


@dataclass(frozen=True)
class ApproachRow:
    """One approach as people read it.

    Attributes:
        cells: One text a column of ``HEADER``, in short lines.
        recommended: Whether the verdict names it.
        skipped: Whether it was not tried; ``cells`` then says why.
    """

    cells: tuple[str, ...]
    recommended: bool
    skipped: bool


def rows_of(outcomes: Sequence[ApproachResult], verdict: Verdict, metric: str) -> list[ApproachRow]:
    """Returns one row an approach."""
    suits, _ = _words_for(outcomes)
    return [_row(outcome, verdict, metric, suits) for outcome in outcomes]


def _words_for(outcomes: Sequence[ApproachResult]) -> tuple[Mapping[str, str], str]:
    """Returns what approaches are best for, and the notes: names such as ``top`` stand in all lists, metrics do not."""
    measured = {name for outcome in outcomes for name in outcome.metrics or ()}
    own = {
        "mrr": (FINDING, FINDING_NOTES),
        "spearman_r": (SCORING, SCORING_NOTES),
        "token_f1": (BEST_FOR, WRITING_NOTES),
    }
    plain = {each.name: each.best_for for each in APPROACHES}, NOTES
    return next((words for name, words in own.items() if name in measured), plain)


def header(metric: str) -> tuple[str, ...]:
    """Returns the titles of the columns."""
    return tuple(title.format(metric=metric.replace("_", " ")) for title in HEADER)


def as_markdown(found: Comparison) -> str:
    """Returns the table and the verdict as Markdown."""
    verdict, metric = found.verdict, found.metric
    lines = [
        f"# Comparison on {found.n:,} test examples",
        "",
        f"**{verdict.approach}**: {verdict.why}.",
        "",
        "| " + " | ".join(header(metric)) + " |",
        "|" + " --- |" * len(HEADER),
    ]
    rows = rows_of(found.approaches, verdict, metric)
    lines += ["| " + " | ".join(_in_one_line(cell) for cell in row.cells) + " |" for row in rows]
    _, notes = _words_for(found.approaches)
    more = say_more_labels(found.approaches, metric)
    return "\n".join([*lines, "", *([f"More labels: {more}.", ""] if more else []), notes, ""])


def say_more_labels(outcomes: Sequence[ApproachResult], metric: str) -> str:
    """Says what twice the labels would bring, by each learning curve, and what the second half brought to tuning.

    Args:
        outcomes: Of all approaches.
        metric: What it was decided by.

    Returns:
        One sentence; nothing where neither was measured.
    """
    said = []
    curves = {each.name: each.curve for each in outcomes if each.curve is not None}
    if curves:
        size = next(iter(curves.values())).sizes[-1]
        each_of = "; ".join(
            f"{name} {curve.accuracy[-1]:.3f} to {curve.forecast.value:.3f} [{curve.forecast.low:.3f}, "
            f"{curve.forecast.high:.3f}]"
            for name, curve in curves.items()
        )
        said.append(f"twice the {size:,} rows of the folds would bring, by each learning curve (90 %): {each_of}")
    said += [_say_slope(each.name, each.slope, metric) for each in outcomes if each.slope is not None]
    return "; ".join(said)


def _say_slope(name: str, slope: Slope, metric: str) -> str:
    (few, many), (before, after), gain = slope.sizes, slope.values, slope.gain
    chance = ", which may be chance" if gain.low <= 0 <= gain.high else ""
    more, low, high = figures(gain.value, gain.low, gain.high, sign="+")
    return (
        f"{name}, trained on {few:,} rows, has {figure(before)} {metric.replace('_', ' ')}, on all {many:,} "
        f"{figure(after)}: "
        f"{more} [{low}, {high}] on {slope.rows:,} rows of valid{chance}; two points "
        "carry no further, so what more rows would bring to it is not known"
    )


def _row(outcome: ApproachResult, verdict: Verdict, metric: str, suits: Mapping[str, str]) -> ApproachRow:
    if outcome.metrics is None or outcome.cost is None or outcome.risk is None or outcome.paired is None:
        return ApproachRow((outcome.name, f"skipped: {outcome.skipped}", "", "", "", "", ""), False, True)
    cost, risk = outcome.cost, outcome.risk
    paired = outcome.paired.get("out_of_fold", outcome.paired["valid"])
    rows = f"{outcome.rows:,} rows" if "out_of_fold" in outcome.paired else "valid"
    behind = f"{paired.value:+.3f}\n[{paired.low:+.3f}, {paired.high:+.3f}]\n{rows}"
    read = "" if cost.prompt_tokens is None else f"\n{cost.prompt_tokens:,.0f} prompt tokens"
    gap = "" if risk.overfitting_gap is None else f"gap {risk.overfitting_gap:+.2f}\n"
    retained = "" if risk.retained is None else f"\nretains {risk.retained.value:.2f}"
    # Tuning that never got beyond the probe it started from is the probe.
    stayed = outcome.name != "probe" and (outcome.chosen or {}).get("phase") == "probe"
    kept = "\nkept its start" if stayed else ""
    return ApproachRow(
        cells=(
            outcome.name,
            suits[outcome.name],
            str(outcome.metrics[metric]).replace(" ", "\n", 1),
            "best" if outcome.name == verdict.best else behind,
            f"{format_seconds(cost.train_seconds + cost.features_seconds)}\n"
            f"{format_count(cost.trained_parameters)} trained\n{format_size(cost.bytes)}{read}",
            f"{_speed(cost.examples_per_second)}/s",
            f"{gap}{'' if risk.ece is None else f'ECE {risk.ece:.2f}'}{retained}{kept}".strip(),
        ),
        recommended=outcome.name == verdict.approach,
        skipped=False,
    )


def _in_one_line(cell: str) -> str:
    return cell.replace("\n[", " [").replace("\n", ", ").replace("|", "\\|")


def _speed(value: float) -> str:
    return f"{value:.2g}" if value < 10 else format_count(int(value))
