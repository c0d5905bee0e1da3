"""What was reached, on the terminal: metrics, calibration, abstention, weak slices, classes, pairs of runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from kft.characters import visible
from kft.cli.common import console
from kft.cli.edge_cases import print_edge_cases
from kft.records.estimate import Estimate, metric_title
from kft.records.metrics import CalibrationResult, EvaluateResult, SelectiveResult

RATES = ("precision", "recall", "F1")
MOST_COLUMNS = 5
"""Metrics in one table: with more, no interval stands on one line of a terminal."""
MOST_WEAK = 5
"""Weak slices that are shown."""


def print_metrics(result: EvaluateResult, model_name: str) -> None:
    """Prints test metrics beside the baselines, the gain, what is known beside them, and the gates."""
    out = console()
    soft = [name for name in result.metrics if name.startswith("soft_")]
    unsupported = [name for name in result.metrics if name.startswith("unsupported")]
    own = [name for name in result.metrics if name not in (*soft, *unsupported)]
    title = f"{result.split}: {result.n:,} examples, 95 % intervals"
    tables = -(-len(own) // MOST_COLUMNS)
    for place in range(tables):
        first, last = (len(own) * end // tables for end in (place, place + 1))
        out.print(_table(result, model_name, own[first:last], title if place == 0 else ""))
    if unsupported:
        said = "of what is said, the share that stands neither in the passages nor in the prompt"
        out.print(_table(result, model_name, unsupported, said))
    if soft and result.least_soft_log_loss is not None:
        least = f"no soft log loss is below {result.least_soft_log_loss:.3f}"
        out.print(_table(result, model_name, soft, f"against soft labels, their shares; {least}"))
    gain = result.gain_over_probe
    if gain is not None and gain.low == gain.high == 0:
        out.print("this model gives the same answers as its probe")
    elif gain is not None:
        out.print(f"difference to the probe in {_paired(result, gain)}")
    if result.gain_over_linear is not None:
        out.print(f"difference to a linear model on words in {_paired(result, result.gain_over_linear)}")
    if result.linear_wins:
        out.tell(f"linear      {result.linear_wins}; kft compare weighs the approaches", style="yellow")
    for line in result.constant_wins:
        out.tell(f"warning     {line}", style="yellow")
    if result.valid is not None and not result.valid.apart:
        out.tell(f"valid       {result.valid.said}")
    for line in _report_lines(result):
        out.tell(visible(line))
    if result.edge_cases is not None:
        print_edge_cases(result.edge_cases)
    for line in result.forgetting.lines if result.forgetting else ():
        out.tell(f"forgetting  {line}")
    for line in result.general_text.lines if result.general_text else ():
        out.tell(f"forgetting  {line}")
    for name, gate in result.gates.items():
        state = ("passed", "green") if gate.passed else ("failed", "red")
        out.print(Text.assemble(f"gate {name} {gate.rule}: {gate.reached} ", state))


def _table(result: EvaluateResult, model_name: str, names: Sequence[str], title: str) -> Table:
    table = Table(title=title or None, title_justify="left")
    table.add_column("")
    for name in names:
        table.add_column(metric_title(name), justify="right")
    rows = (*result.baselines.items(), (model_name, result.metrics))
    for row, values in (each for each in rows if any(name in each[1] for name in names)):
        style = "bold" if values is result.metrics else None
        table.add_row(row, *(str(values.get(name, "")) for name in names), style=style)
    return table


def _paired(result: EvaluateResult, gain: Estimate) -> str:
    low, high = sorted((gain.low, gain.high) if result.higher_is_better else (-gain.low, -gain.high))
    verdict = "better" if low > 0 else "worse" if high < 0 else "no clear difference"
    return f"{metric_title(result.main)}, paired: {gain} ({verdict})"


def print_apart(result: EvaluateResult) -> None:
    """Prints, where valid and test differ by more than chance, what may be behind it and what to try."""
    if result.valid is None or not result.valid.apart:
        return
    out = console()
    out.tell(f"warning     {result.valid.said}", style="bold red")
    for cause in result.valid.causes:
        out.tell(f"            perhaps {cause}", style="red")
    for step in result.valid.next_steps:
        out.tell(f"            try {step}", style="red")


def _report_lines(result: EvaluateResult) -> Iterator[str]:
    if result.calibration is not None:
        folds = result.valid is not None and result.calibration.n > result.valid.n
        rows = "rows of train and valid, out of fold" if folds else "of valid"
        yield _calibration_line(result.calibration, result.own_ece, "soft " if result.soft else "", rows)
    if result.label_thresholds is not None:
        yield f"thresholds  {result.label_thresholds.described}"
        if result.label_thresholds.why:
            yield f"            {result.label_thresholds.why}"
    if result.selective is not None and result.selective.rule is not None:
        yield from _abstention_lines(result.selective)
    if result.out_of_scope is not None:
        scope = result.out_of_scope
        yield f"scope       flags {scope.flagged} of these examples, all in scope; {scope.costs}"
    if result.interval is not None:
        yield f"interval    {result.interval.said}"
    worst_first = 1 if result.higher_is_better else -1
    weak = sorted(result.weak_slices, key=lambda part: worst_first * next(iter(part.metrics.values())).value)
    looked = sum(part.p_value is not None for part in result.slices or ())
    if looked and not weak:
        yield f"slices      none of {looked} is weaker than the rest beyond chance"
    for part in weak[:MOST_WEAK]:
        assert part.p_value is not None
        yield (
            f"weak slice  {part.by} {part.value}: {part.said} of {part.n:,} examples "
            f"(p {part.p_value:.2g}, corrected for {looked} slices)"
        )
    if len(weak) > MOST_WEAK:
        yield f"            and {len(weak) - MOST_WEAK} more in metrics.json, slices"
    for warning in result.overfitting.told if result.overfitting else ():
        yield f"overfitting {warning}"


def _calibration_line(found: CalibrationResult, ece: Estimate, soft: str, rows: str) -> str:
    if not found.n:
        return f"calibration none: {soft}Brier score {found.brier}"
    return (
        f"calibration temperature {found.temperature:.3g} ({found.n:,} {rows}): "
        f"{soft}ECE {found.ece_before.value:.3f} before, {ece.value:.3f} after; {soft}Brier score {found.brier}"
    )


def _abstention_lines(found: SelectiveResult) -> Iterator[str]:
    rule = found.rule
    assert rule is not None
    if rule.threshold is None:
        yield f"abstention  off: {rule.why}"
        return
    promised = f"; promised: at most {found.promise.error:g}" if found.promise else ""
    right = f"; {found.rightness}" if found.rightness else ""
    yield f"abstention  answers {found.coverage}; wrong among these {found.error}{promised}{right}"
    if found.costs:
        costs = found.costs
        yield f"costs       {costs.per_example} an example; answering everything {costs.answering_everything}"
    if found.precision:
        precision, everything = found.precision, found.precision.reached_answering_everything
        reached = f"{precision.reached}, asked for {precision.asked:g}; answering everything {everything}"
        yield f"precision   of {precision.label!r} {reached}; recall {precision.recall}"


def print_pairs(result: EvaluateResult, most: int = 10) -> None:
    """Prints the comparison with another run: what this one fixed and what it broke."""
    pairs = result.against
    if pairs is None:
        return
    out = console()
    out.print(f"\nagainst {pairs.run}: fixed {len(pairs.fixed):,}, broke {len(pairs.broke):,}", markup=False)
    verdict = "beyond chance" if pairs.p_value < 0.05 else "may be chance"
    metric, of = pairs.difference.metric.replace("_", " "), ""
    if pairs.difference.metric != "accuracy":
        of = " of right texts"
    out.print(f"difference in {metric}, paired: {pairs.difference} (McNemar p{of} {pairs.p_value:.2g}: {verdict})")
    if pairs.broke:
        more = f" and {len(pairs.broke) - most:,} more" if len(pairs.broke) > most else ""
        out.print(visible(f"broke {', '.join(pairs.broke[:most])}{more}"), markup=False)


def print_classes(result: EvaluateResult, most: int = 10) -> None:
    """Prints the classes with the lowest F1, and the pairs confused most often."""
    if not result.classes:
        return
    out = console()
    worst = sorted(result.classes, key=lambda row: row.f1)[:most]
    few = len(result.classes) <= most
    title = "classes" if few else f"the {len(worst)} weakest of {len(result.classes)} classes"
    table = Table("class", "n", *RATES, title=f"{title}, 95 % intervals", title_justify="left")
    for row in worst:
        rates = (
            Estimate(value, *ends)
            for value, ends in (
                (row.precision, row.precision_range),
                (row.recall, row.recall_range),
                (row.f1, row.f1_range),
            )
        )
        table.add_row(visible(row.label), str(row.n), *map(str, rates))
    out.print(table)
    if result.confusion is None:
        return
    labels = result.labels
    pairs = [
        (int(count), labels[i], labels[j])
        for i, line in enumerate(result.confusion)
        for j, count in enumerate(line)
        if i != j and count
    ]
    for count, target, prediction in sorted(pairs, reverse=True)[:3]:
        out.print(visible(f"{count} {target} taken for {prediction}"), markup=False)
