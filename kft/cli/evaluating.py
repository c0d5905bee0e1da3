"""`kft evaluate`."""

from __future__ import annotations

import rich_click as click

from kft.cli.common import devices_option, output_options, print_json
from kft.cli.results import print_classes, print_metrics, print_pairs


@click.command()
@click.argument("run")
@click.option("--data", metavar="FILE", help="Score another labelled file instead of the sealed test split.")
@click.option("--against", metavar="OTHER", help="Compare with another run on the same split, pair by pair.")
@devices_option
@output_options
def evaluate(run: str, data: str | None, against: str | None, devices: str, as_json: bool, quiet: bool) -> int:
    """Score the best weights of RUN; exit 1 when a gate of the recipe fails."""
    from kft import api

    result = api.evaluate(run, data=data, against=against, devices=devices, quiet=quiet)
    if as_json:
        print_json(result.as_dict())
    else:
        print_metrics(result, "this model")
        print_classes(result)
        print_pairs(result)
    return 1 if result.failed_gates else 0


COMMANDS = (evaluate,)
