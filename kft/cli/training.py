"""`kft train`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from kft.cli.common import console, output_options, print_json, print_metrics


@click.command()
@click.argument("recipe")
@click.option("--run", "run_folder", metavar="DIR", help="The run folder; default runs/<recipe name>-<n>.")
@click.option("--set", "overrides", metavar="K=V", multiple=True, help="Override a setting; may be repeated.")
@click.option("--seed", type=click.IntRange(min=0), help="Override the recipe's seed.")
@click.option("--devices", default="auto", show_default=True, help="auto or one.")
@output_options
def train(
    recipe: str,
    run_folder: str | None,
    overrides: tuple[str, ...],
    seed: int | None,
    devices: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train RECIPE, score the sealed test split, write the run folder.

    RECIPE is a YAML file, or the name of a shipped recipe such as sentiment/product_reviews.
    """
    from kft import api
    from kft.recipe.load import load_recipe
    from kft.recipe.shipped import shipped_recipes

    path = Path(recipe)
    if not path.exists() and recipe in shipped_recipes():
        path = shipped_recipes()[recipe]
    settings = (*overrides, f"seed={seed}") if seed is not None else overrides
    result = api.train(load_recipe(path, settings), run=run_folder, devices=devices, quiet=quiet)
    if as_json:
        print_json(result.as_dict())
        return
    kept = next(phase for phase in result.phases if phase.name == result.best_phase)
    out = console()
    out.print()
    # Without an epoch of training that beat its start, what was kept is the start itself.
    print_metrics(result.evaluation, f"{kept.name} (epoch {kept.best_epoch})" if kept.epochs else f"kept: {kept.name}")
    share = kept.trainable / kept.parameters
    out.print(f"trained    {kept.trainable:,} of {kept.parameters:,} parameters ({share:.1%}), chosen on valid")
    out.print(f"seconds    {result.seconds:.0f}: " + ", ".join(f"{p.name} {p.seconds:.0f}" for p in result.phases))
    out.print(f"files      {result.run}: metrics.json, predictions.csv, per_class.csv, checkpoints/")
    failed = result.evaluation.failed_gates
    if failed:
        out.print(f"[yellow]gates      {', '.join(failed)} failed; kft evaluate {result.run} exits 1[/yellow]")
    out.print(f'next       kft predict {result.run} "your text"', markup=False)


COMMANDS = (train,)
