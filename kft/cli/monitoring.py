"""Commands that look at a model that is in use: monitor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rich_click as click
from rich.table import Column, Table
from rich.text import Text

from kft.cli.common import console, debug_option, json_option, print_json

if TYPE_CHECKING:
    from kft.records.monitored import GaugeSeen, Moments, MonitorResult
    from kft.records.sliced import ShareChange, SlicesSeen

FEW = 8
"""Gauges without an alarm that are shown, the nearest to one first."""
FEW_EXAMPLES, SHOWN = 3, 90
"""Rows that are shown, and characters of each; the page has more."""
WORTH_SHOWING = 0.25
"""Evidence of such a gauge, as a part of what raises an alarm."""


@click.command()
@click.argument("artifact")
@click.argument("data")
@click.option("--labels", metavar="COLUMN", help="A column of true labels, where some rows have one.")
@click.option("--time", metavar="COLUMN", help="A column of times: ISO 8601, or seconds since 1970.")
@click.option("--window", metavar="ROWS|1h|1d|1w", help="Default: days with --time, else one window a call.")
@click.option("--state", metavar="FOLDER", help="Keeps counts between calls; no row is counted twice.")
@click.option("--alpha", type=float, default=0.01, show_default=True, help="Chance of any false alarm, ever.")
@json_option
@click.option("-o", "--output", metavar="FOLDER", help="Where monitor.json and report.html, a page, go.")
@click.option("--webhook", metavar="URL", help="An alarm is posted there as JSON: https, or http to this machine.")
@click.option("--textfile", metavar="FILE.prom", help="Figures for Prometheus's node exporter, replaced whole.")
@click.option(
    "--keep-examples",
    type=int,
    metavar="N",
    help="So many rows, without personal data, go into the result and the page. Default: of a server's records, or "
    "where the artifact was exported with --keep-examples, 6; else 0.",
)
@debug_option
def monitor(
    artifact: str,
    data: str,
    labels: str | None,
    time: str | None,
    window: str | None,
    state: str | None,
    alpha: float,
    as_json: bool,
    output: str | None,
    webhook: str | None,
    textfile: str | None,
    keep_examples: int | None,
) -> int:
    """Watch a shipped model: has what it is asked, or what it answers, changed since its test rows? Exit 1 on drift.

    DATA is a table, a .txt file, or a folder of images or documents, which ARTIFACT answers; a table that kft predict
    -o wrote; the folder of kft serve --record; or - for JSON lines on standard input. Looking often costs nothing: the
    chance that an alarm is ever false is at most --alpha over all calls with one --state.
    """
    from kft.api import monitoring as api

    result = api.monitor(
        artifact,
        data,
        labels=labels,
        time=time,
        window=window,
        state=state,
        alpha=alpha,
        output=output,
        webhook=webhook,
        textfile=textfile,
        keep_examples=keep_examples,
    )
    if as_json:
        print_json(result)
    else:
        print_monitor(result)
    return 1 if result.drift else 0


def print_monitor(result: MonitorResult) -> None:
    """Prints what was counted, which gauges moved, and what to do next."""
    from kft.records.monitored import times

    out = console()
    calls = f" in {result.calls:,} calls" if result.calls > 1 else ""
    windows = f"{len(result.windows):,} window{'s' if len(result.windows) != 1 else ''}"
    out.tell(f"watched    {result.rows:,} rows{calls}, {windows}, by {result.name} {result.version}")
    for note in result.notes:
        out.tell(f"note       {note}")
    alarms = [each for each in result.gauges if each.alarm]
    quiet = [each for each in result.gauges if not each.alarm and each.strength >= WORTH_SHOWING][:FEW]
    if alarms or quiet:
        out.print(_table([*alarms, *quiet]))
    for each in alarms:
        if each.said:
            out.tell(f"moved      {each.name}: {each.said}")
    if result.slices is not None and result.slices.moved:
        out.print(_slices(result.slices))
        if (more := len(result.slices.moved) - FEW) > 0:
            out.tell(f"slices     {more:,} more have moved; --json has all")
    for line in result.estimates:
        out.tell(f"estimate   {line}")
    if not result.rows:
        out.tell("verdict    none on drift: no row was counted")
    elif alarms:
        names = ", ".join(each.name for each in alarms)
        first = min(alarms, key=lambda each: _place(result, each.alarm)).alarm
        out.tell(f"verdict    drift: {names}; first alarm in {first}", style="bold red")
        out.tell(f"           a false alarm has a chance of at most {result.alpha:g}, over all looks", style="red")
    else:
        nearest = max(result.gauges, key=lambda each: each.strength, default=None)
        said = ""
        if nearest and nearest.threshold and nearest.strength:
            level = f"{times(nearest.evidence)} against {times(nearest.threshold)}"
            said = f"; nearest to an alarm: {nearest.name}, with evidence of {level}"
        out.tell(f"verdict    no drift was found{said}", style="green")
    for example in (() if result.examples is None else result.examples.came)[:FEW_EXAMPLES]:
        shown = " ".join((example.text or example.file).split())
        out.tell(f"example    {shown if len(shown) <= SHOWN else shown[:SHOWN] + '...'} -> {example.answer}")
    for step in result.next_steps:
        out.tell(f"next       {step}")


def _place(result: MonitorResult, window: str) -> float:
    return next((at for at, each in enumerate(result.windows) if each.name == window), -1)


def _table(gauges: list[GaugeSeen]) -> Table:
    from kft.records.monitored import times

    table = Table("gauge", "what it tells", "before", "now", "evidence", "alarm at", "first alarm")
    for name in ("before", "now", "evidence", "alarm at"):
        next(column for column in table.columns if column.header == name).justify = "right"
    for each in gauges:
        table.add_row(
            each.name,
            f"{each.kind}: {each.about}",
            _mean(each, each.before),
            _mean(each, each.now),
            times(each.evidence),
            "never" if each.threshold is None else times(each.threshold),
            Text(each.alarm or "-", style="bold red" if each.alarm else ""),
        )
    return table


def _slices(found: SlicesSeen) -> Table:
    """Returns a table of slices that moved; what moved of each has an interval."""
    moved = found.moved[:FEW]
    measures = [("share of rows", "share")]
    if any(each.unsure is not None for each in moved):
        measures.append((found.called_unsure, "unsure"))
    if any(each.withheld is not None for each in moved):
        measures.append(("withheld", "withheld"))
    table = Table("slice that moved", *(Column(title, justify="right") for title, _ in measures))
    for each in moved:
        compared = [(name, getattr(each, name)) for _, name in measures]
        table.add_row(Text(each.name), *(_compared(found) for _, found in compared))
    return table


def _compared(found: ShareChange | None) -> Text:
    """Returns a share then and now, and where it has moved the interval of the difference."""
    if found is None:
        return Text("-")
    figure = f"{found.before:.1%} -> {found.now:.1%}"
    return Text(f"{figure}\n{found.difference}", "bold") if found.moved else Text(figure)


def _mean(gauge: GaugeSeen, moments: Moments | None) -> str:
    if moments is None or gauge.unit == "code":
        return "-"
    return f"{moments.mean:,.0f}" if abs(moments.mean) >= 1000 else f"{moments.mean:.3g}"


COMMANDS = (monitor,)
