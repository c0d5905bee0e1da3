"""`kft plan` and `kft train`."""

from __future__ import annotations

from itertools import groupby
from shlex import quote
from typing import TYPE_CHECKING

import rich_click as click
from rich.table import Table

from kft.cli.common import console, devices_option, load_named, output_options, print_json, terms_option, with_settings
from kft.cli.results import print_apart, print_metrics
from kft.records.estimate import percent
from kft.terminal import styled

if TYPE_CHECKING:
    from kft.recipe.load import Recipe
    from kft.tasks.task import Task
    from kft.train.plan import PhasePlan


@click.command()
@click.argument("recipe")
@click.option("--run", "run_folder", metavar="DIR", help="The run folder; default runs/<recipe name>-<n>.")
@click.option("--set", "overrides", metavar="K=V", multiple=True, help="Override a setting; may be repeated.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Override the recipe's seed.")
@click.option("--resume", is_flag=True, help="Go on exactly where the run stopped; begin it if it has not begun.")
@click.option("--check-tpu", is_flag=True, help="Say whether a TPU could run it, whatever runs here; trains nothing.")
@devices_option
@terms_option
@output_options
def train(
    recipe: str,
    run_folder: str | None,
    overrides: tuple[str, ...],
    seed: int | None,
    resume: bool,
    check_tpu: bool,
    devices: str,
    as_json: bool,
    quiet: bool,
) -> int:
    """Train RECIPE, score the sealed test split, write the run folder.

    RECIPE is a YAML file, or the name of a shipped recipe such as sentiment/product_reviews.
    """
    from kft.api import training as api

    if check_tpu:
        return _check_tpu(load_named(recipe, overrides, seed), as_json, quiet)
    loaded = load_named(recipe, overrides, seed)
    result = api.train(loaded, run=run_folder, devices=devices, resume=resume, quiet=quiet)
    if as_json:
        print_json(result.as_dict())
        return 0
    kept = next(phase for phase in result.phases if phase.name == result.best_phase)
    out = console()
    out.print()
    # Without an epoch of training that beat its start, what was kept is the start itself.
    print_metrics(result.evaluation, f"{kept.name} (epoch {kept.best_epoch})" if kept.epochs else f"kept: {kept.name}")
    # A blend trains nothing below the head, yet stands on what the phase that it starts from has trained.
    by_name, trained, phase = {each.name: each for each in result.phases}, kept.trainable, kept
    while not phase.epochs and phase.start in by_name:
        phase = by_name[phase.start]
        trained = max(trained, phase.trainable)
    share = trained / kept.parameters
    again = ", then trained again on train and valid" if result.refitted else ""
    out.tell(f"trained    {trained:,} of {kept.parameters:,} parameters ({percent(share)}), chosen on valid{again}")
    out.tell(f"seconds    {result.seconds:.0f}: " + ", ".join(f"{p.name} {p.seconds:.0f}" for p in result.phases))
    run = quote(str(result.run))
    by_class = "per_class.csv, " if result.evaluation.classes else ""
    out.tell(f"files      {result.run}: metrics.json, predictions.csv, {by_class}checkpoints/")
    failed = result.evaluation.failed_gates
    edge_cases = result.evaluation.edge_cases
    if edge_cases is not None and edge_cases.failed:
        names = ", ".join(check.name for check in edge_cases.failed)
        out.tell(f"edge cases {names}: too few of the cases pass; kft evaluate {run} exits with 1", style="yellow")
    if failed:
        out.tell(f"gates      {', '.join(failed)} failed; kft evaluate {run} exits with 1", style="yellow")
    from kft.tasks.registry import TASKS

    out.tell(f"next       {how_to_ask(TASKS.get(loaded.spec.task), run)}")
    out.tell(f"           kft report {run} writes a page for people and a model card")
    print_apart(result.evaluation)
    return 0


def how_to_ask(task: Task, run: str) -> str:
    """Returns the command that asks a run, or why there is none.

    Example:
        >>> from kft.tasks.registry import TASKS
        >>> how_to_ask(TASKS.get("text-classification"), "runs/mine-1")
        'kft predict runs/mine-1 "your text"'
        >>> how_to_ask(TASKS.get("masked-lm"), "runs/words")[-56:]
        'a run of another task with model.start_from: RUN answers'
    """
    return task.kind.lacks.get(task.verb) or f"kft {task.verb} {run} {task.reads.in_shell}"


@click.command()
@click.argument("recipe")
@click.option("--set", "overrides", metavar="K=V", multiple=True, help="Override a setting; may be repeated.")
@click.option("--check-tpu", is_flag=True, help="Say whether a TPU could run it, whatever runs here.")
@terms_option
@output_options
def plan(recipe: str, overrides: tuple[str, ...], check_tpu: bool, as_json: bool, quiet: bool) -> int:
    """Show what RECIPE would do, phase by phase: what trains, what is stored, what it takes. Trains nothing."""
    from kft.api import training as api

    if check_tpu:
        return _check_tpu(load_named(recipe, overrides), as_json, quiet)
    result = api.plan(load_named(recipe, overrides), quiet=quiet)
    if as_json:
        print_json(result.as_dict())
        return 0
    for phase in result.phases:
        _print_phase(phase)
    console().tell(f"\nnext       kft train {with_settings(recipe, overrides)}")
    return 0


def _check_tpu(recipe: Recipe, as_json: bool, quiet: bool) -> int:
    """Prints the checks; exit code 2 when one fails, because then the recipe has to change."""
    from kft.api import training as api

    checks = api.check_tpu(recipe, quiet=quiet)
    failed = [check for check in checks if not check.ok]
    if as_json:
        print_json({"ok": not failed, "checks": checks})
    else:
        table = Table("", "what a TPU asks for", "found", "next", title="\nTPU", title_justify="left")
        for check in checks:
            sign = styled("green", "yes") if check.ok else styled("red", "no")
            table.add_row(sign, check.name, check.found, check.advice)
        console().print(table)
    return 2 if failed else 0


def _print_phase(plan: PhasePlan) -> None:
    from kft.recipe.durations import format_size

    out, phase, memory = console(), plan.phase, plan.memory
    solved = {"lbfgs": "L-BFGS to convergence", "blend": "a blend of cheap models, weighed out of fold"}
    how = solved.get(phase.solver, f"{phase.epochs} epochs, {plan.steps:,} steps")
    how = how if phase.trains_head else f"{phase.objective}, {how}"
    title = f"phase {phase.name}: {how}" + (f", from {phase.start}" if phase.start else "")
    table = Table("block", title=f"\n{title}", title_justify="left")
    for column in ("parameters", "trains", "peak rate", "work"):
        table.add_column(column, justify="left" if column == "work" else "right")
    for _, alike in groupby(plan.blocks, key=lambda row: (row.parameters, row.trainable, row.rate, row.work)):
        row, *others = alike
        rate = "" if row.rate is None else f"{row.rate:.2g}"
        name, each = (f"{row.block} to {others[-1].block}", f"{1 + len(others)} x ") if others else (row.block, "")
        trains = f"{each}{row.trainable:,}" if row.trainable else "frozen"
        table.add_row(name, f"{each}{row.parameters:,}", trains, rate, WORK[row.work])
    out.print(table)
    share = percent(plan.trainable / plan.parameters, 2)
    out.tell(f"trains     {plan.trainable:,} of {plan.parameters:,} parameters ({share})")
    out.tell(f"features   {plan.store}")
    parts = [("weights", memory.weights), ("gradients and moments", memory.optimizer)]
    part = f"{memory.batch_size}" + (f" x {memory.tokens} tokens" if memory.tokens > 1 else "")
    parts.append((f"activations of {part}", memory.activations))
    text = ", ".join(f"{name} {format_size(size)}" for name, size in parts if size)
    out.tell(f"memory     at most {format_size(memory.total)} beside TensorFlow's own 1 GiB: {text}")


WORK = {"stored": "once an example, then stored", "recomputed": "frozen, run for every batch", "trained": "trained"}


COMMANDS = (plan, train)
