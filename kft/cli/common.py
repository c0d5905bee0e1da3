"""Options and output that the commands share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click as click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kft.evaluate.evaluate import EvaluateResult

if TYPE_CHECKING:
    from kft.recipe.load import Recipe

Command = TypeVar("Command", bound=Callable[..., Any])

_state: dict[str, Any] = {"debug": False}

METRIC_TITLES = {
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "log_loss": "log loss",
    "ece": "ECE",
    "mae": "MAE",
    "rmse": "RMSE",
    "pearson_r": "Pearson r",
    "r2": "R²",
}


def debug_wanted() -> bool:
    """Whether --debug was given."""
    return bool(_state["debug"])


def _set_debug(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    _state["debug"] = value


def debug_option(command: Command) -> Command:
    """Adds --debug."""
    return click.option(
        "--debug", is_flag=True, expose_value=False, callback=_set_debug, help="Show the traceback of an error."
    )(command)


def devices_option(command: Command) -> Command:
    """Adds --devices."""
    choices = "auto, one, cpu:N, multi-gpu, multi-worker or tpu; kft doctor says what auto comes to."
    return click.option("--devices", default="auto", show_default=True, help=choices)(command)


def output_options(command: Command) -> Command:
    """Adds --json, --quiet and --debug."""
    command = click.option("--quiet", is_flag=True, help="Print no progress.")(command)
    command = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")(command)
    return debug_option(command)


def load_named(recipe: str, overrides: tuple[str, ...], seed: int | None = None) -> Recipe:
    """Loads a recipe by its file, or by the name of one that ships."""
    from kft.recipe.load import load_recipe
    from kft.recipe.shipped import shipped_recipes

    path = Path(recipe)
    if not path.exists() and recipe in shipped_recipes():
        path = shipped_recipes()[recipe]
    return load_recipe(path, (*overrides, f"seed={seed}") if seed is not None else overrides)


def print_json(values: Any) -> None:
    """Prints exactly one JSON object on standard output."""
    click.echo(json.dumps(values, ensure_ascii=False))


def console() -> Console:
    """Returns the console for results: standard output, as wide as a log where there is no terminal."""
    made = Console(highlight=False)
    return made if made.is_terminal else Console(highlight=False, width=120)


def metric_title(name: str) -> str:
    """Returns a metric's name as people write it."""
    return METRIC_TITLES.get(name, name.replace("_", " "))


def print_metrics(result: EvaluateResult, model_name: str) -> None:
    """Prints test metrics beside the baselines, the gain and the gates."""
    table = Table(title=f"{escape(result.split)}: {result.n:,} examples, 95 % intervals", title_justify="left")
    table.add_column("")
    for name in result.metrics:
        table.add_column(metric_title(name), justify="right")
    for name, values in (*result.baselines.items(), (model_name, result.metrics)):
        style = "bold" if values is result.metrics else None
        table.add_row(escape(name), *(str(value) for value in values.values()), style=style)
    out = console()
    out.print(table)
    if result.gain_over_probe is not None:
        gain = result.gain_over_probe
        sign = 1 if result.main_metric.higher_is_better else -1
        better, worse = (gain.low > 0, gain.high < 0) if sign > 0 else (gain.high < 0, gain.low > 0)
        verdict = "better" if better else "worse" if worse else "may be none"
        if gain.low == gain.high == 0:
            out.print("the probe was kept, or answers alike: fine-tuning gained nothing here")
        else:
            out.print(f"difference to the probe in {metric_title(result.main_metric.name)}, paired: {gain} ({verdict})")
    for name, gate in result.gates.items():
        state = "[green]passed[/green]" if gate.passed else "[red]failed[/red]"
        out.print(f"gate {name} {gate.rule}: {gate.value:.4f} {state}")


def print_classes(result: EvaluateResult, most: int = 10) -> None:
    """Prints the classes with the lowest F1, and the pairs confused most often."""
    if not result.classes:
        return
    out = console()
    worst = sorted(result.classes, key=lambda row: row.f1)[:most]
    title = "classes" if len(result.classes) <= most else f"the {len(worst)} weakest of {len(result.classes)} classes"
    table = Table("class", "n", "precision", "recall", "F1", title=title, title_justify="left")
    for row in worst:
        table.add_row(escape(row.label), str(row.n), f"{row.precision:.3f}", f"{row.recall:.3f}", f"{row.f1:.3f}")
    out.print(table)
    if result.confusion is None:
        return
    labels = result.space.labels
    pairs = [
        (int(count), labels[i], labels[j])
        for i, line in enumerate(result.confusion)
        for j, count in enumerate(line)
        if i != j and count
    ]
    for count, target, prediction in sorted(pairs, reverse=True)[:3]:
        out.print(f"{count} {target} taken for {prediction}", markup=False)
