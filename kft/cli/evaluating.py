"""`kft evaluate`."""

from __future__ import annotations

import rich_click as click

from kft.cli.common import devices_option, output_options, print_json, terms_option
from kft.cli.edge_cases import print_draft, print_edge_case_pairs, print_edge_cases
from kft.cli.results import print_apart, print_classes, print_metrics, print_pairs
from kft.errors import UsageError


@click.command()
@click.argument("run")
@click.option("--data", metavar="FILE", help="Score another labelled file instead of the sealed test split.")
@click.option("--suite", metavar="FILE", help="Run a suite of edge cases instead; the test split stays closed.")
@click.option("--draft-suite", "draft", metavar="FILE", help="Write a first suite from rows of train, for you to edit.")
@click.option("--against", metavar="OTHER", help="Compare with another run, row by row, on the same split or suite.")
@devices_option
@terms_option
@output_options
def evaluate(
    run: str,
    data: str | None,
    suite: str | None,
    draft: str | None,
    against: str | None,
    devices: str,
    as_json: bool,
    quiet: bool,
) -> int:
    """Score the best weights of RUN; exit 1 when a gate of the recipe, or a check of a suite, fails."""
    from kft.api import evaluating, suites

    given = [name for name, value in (("--data", data), ("--suite", suite), ("--draft-suite", draft)) if value]
    if len(given) > 1 or (draft and against):
        raise UsageError(
            "these options cannot be used together",
            received=", ".join([*given, *(["--against"] if draft and against else [])]),
            expected="one of them",
            next_step="kft evaluate --help",
        )
    if draft is not None:
        drafted = suites.draft_suite(run, draft, devices=devices, quiet=quiet)
        if as_json:
            print_json(drafted.as_dict())
        else:
            print_draft(drafted, run)
        return 0
    if suite is not None:
        found = suites.evaluate_suite(run, suite, against=against, devices=devices, quiet=quiet)
        if as_json:
            print_json(found)
        else:
            print_edge_cases(found)
            print_edge_case_pairs(found)
        return 1 if found.failed else 0
    result = evaluating.evaluate(run, data=data, against=against, devices=devices, quiet=quiet)
    if as_json:
        print_json(result)
    else:
        print_metrics(result, "this model")
        print_classes(result)
        print_pairs(result)
        print_apart(result)
    return 1 if result.says_no else 0


COMMANDS = (evaluate,)
