"""Edge cases on the terminal: the checks of a suite, what failed, what was fixed and broken."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from kft.characters import shorten, visible
from kft.cli.common import console
from kft.records.edge_cases import EdgeCaseResult, Outcome
from kft.records.estimate import Estimate, metric_title
from kft.terminal import styled

if TYPE_CHECKING:
    from kft.suites.draft import SuiteDraft

SHOWN, CHARACTERS = 3, 64
MOST_PAIRS = 10


def print_edge_cases(result: EdgeCaseResult) -> None:
    """Prints a line for each check, and the surest failures of those that do not hold."""
    out = console()
    # Without a frame, or it would not fit into 80 columns.
    title = f"edge cases: {result.suite}"
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("check", "kind", "passed", "pass rate %", "at least", ""):
        table.add_column(column, justify="right" if column in ("passed", "pass rate %", "at least") else "left")
    for check in result.checks:
        least = check.at_least or 0.0
        short = 100 * (least - check.pass_rate.value)
        state = styled("green", "holds") if check.holds else styled("red", f"{short:.1f} short")
        counts, needed = f"{check.passed}/{check.n}", f"{100 * least:.3g}"
        kind = check.kind.replace("_", " ")
        table.add_row(check.name, kind, counts, _percent(check.pass_rate), needed, state)
    counts = f"{result.passed}/{result.n}"
    table.add_row("all", "", counts, _percent(result.pass_rate), "", "", style="bold")
    out.print(table)
    for check in result.checks:
        if check.agreement is not None:
            metric, beside = metric_title(check.agreement_metric), check.agreement_with or "the answers before"
            out.tell(f"{check.name}: {metric} after the change, against {beside} {check.agreement}")
    for check in result.failed:
        about = f": {check.about}" if check.about else ""
        out.print(styled("red", "\nfailed", f" {check.name}{about}"))
        _print_cases((check.failures or ())[:SHOWN])
        _print_more(check.n - check.passed, SHOWN, "edge_cases.json")


def _percent(rate: Estimate) -> str:
    return f"{100 * rate.value:.0f} [{100 * rate.low:.0f}, {100 * rate.high:.0f}]"


def print_edge_case_pairs(result: EdgeCaseResult) -> None:
    """Prints what this run fixed and what it broke, case by case."""
    pairs = result.against
    if pairs is None:
        return
    out, outcomes = console(), result.outcomes or {}
    out.print(f"\nagainst {pairs.run}: fixed {len(pairs.fixed):,}, broke {len(pairs.broke):,}", markup=False)
    verdict = "beyond chance" if pairs.p_value < 0.05 else "may be chance"
    out.print(f"difference in the pass rate, paired: {pairs.difference} (McNemar p {pairs.p_value:.2g}: {verdict})")
    if pairs.fixed:
        out.print("fixed")
    for name in pairs.fixed[:MOST_PAIRS]:
        out.print(f"  {name}: {shorten(outcomes[name].input, CHARACTERS)}", markup=False)
    _print_more(len(pairs.fixed), MOST_PAIRS, "--json")
    if pairs.broke:
        out.print("broke")
    _print_cases([outcomes[name] for name in pairs.broke[:MOST_PAIRS]])
    _print_more(len(pairs.broke), MOST_PAIRS, "--json")


def print_draft(draft: SuiteDraft, run: str) -> None:
    """Prints what a draft holds, and what to do with it."""
    out = console()
    out.tell(f"drafted    {len(draft.checks)} checks on {draft.rows} rows of train, from {draft.classes} {draft.of}")
    for token, label in draft.shortcuts:
        out.tell(f"shortcut   {token!r} for {label!r}: taken out of its texts, and put into others")
    out.tell(f"written    {draft.path}\nnext       edit it, then run:")
    out.tell(f"           kft evaluate {quote(run)} --suite {quote(str(draft.path))}")


def _print_cases(outcomes: Sequence[Outcome]) -> None:
    out = console()
    for outcome in outcomes:
        out.print(visible(f"  {outcome.case}"), markup=False)
        start = _start(outcome.input, outcome.changed)
        out.print(f"    {_excerpt(outcome.input or '(empty)', start)}", markup=False)
        if outcome.changed is not None:
            out.print(f"    changed:  {_excerpt(outcome.changed, start)}", markup=False)
        found = f"    expected: {outcome.expected}; received: {outcome.received}"
        found += "" if outcome.confidence is None else f", confidence {outcome.confidence:.2f}"
        out.print(visible(found), markup=False)


def _print_more(n: int, shown: int, where: str) -> None:
    if n > shown:
        console().print(f"  and {n - shown:,} more in {where}", markup=False)


def _start(text: str, changed: str | None) -> int:
    """Returns where to begin to show a text, so that what was changed in it is seen."""
    other = changed or ""
    pairs = enumerate(zip(text, other, strict=False))
    same = next((place for place, (one, two) in pairs if one != two), min(len(text), len(other)))
    return max(0, min(same - CHARACTERS // 2, max(len(text), len(other)) - CHARACTERS + 3))


def _excerpt(text: str, start: int) -> str:
    return shorten(("..." if start else "") + text[start:], CHARACTERS)
