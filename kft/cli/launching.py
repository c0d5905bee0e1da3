"""`kft launch` and `kft workers`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from kft.cli.common import debug_option, load_named, output_options, print_json, terms_option
from kft.errors import UsageError, require_plain
from kft.launch.machines import CLUSTERS, DEFAULTS
from kft.records.files import write_file
from kft.terminal import echo


@click.command()
@click.argument("recipe", metavar="RECIPE|ARTIFACT")
@click.option("--on", type=click.Choice([*DEFAULTS, *CLUSTERS]), required=True, help="The platform.")
@click.option(
    "--serve", "serves", is_flag=True, help="Serve ARTIFACT, gs://..., instead: with --on kserve or kubernetes."
)
@click.option("--replicas", type=click.IntRange(1, 100), help="Servers; with --serve; default 1.")
@click.option("-o", "--output", metavar="FILE", help="The job file; without it, standard output.")
@click.option(
    "--image", required=True, help="The container image, built from a Dockerfile of docker/: gpu, tpu or serve."
)
@click.option("--run", "run_folder", metavar="gs://...", help="The run folder; a job needs one.")
@click.option("--data", metavar="gs://...", help="The folder that holds what the recipe names by path.")
@click.option(
    "--accelerator", metavar="NAME", help=f"Default: {', '.join(f'{m} on {p}' for p, m in DEFAULTS.items())}."
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Machines that train as one.")
@click.option("--spot", is_flag=True, help="Use machines that cost less and may be taken away.")
@click.option("--set", "overrides", metavar="K=V", multiple=True, help="Override a setting; may be repeated.")
@click.option("--no-check", is_flag=True, help="Check neither memory nor what a TPU asks for; loads no model.")
@terms_option
@output_options
def launch(
    recipe: str,
    on: str,
    serves: bool,
    replicas: int | None,
    output: str | None,
    image: str,
    run_folder: str | None,
    data: str | None,
    accelerator: str | None,
    workers: int,
    spot: bool,
    overrides: tuple[str, ...],
    no_check: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Write the job file that trains RECIPE on a cloud platform, or the one that serves ARTIFACT; submits nothing.

    A job's file holds the recipe and its own instructions. docs/multi-gpu.md and docs/tpu.md go through it all.
    """
    from kft.api import launching as api

    require_plain(output or "", "--output", UsageError)
    if output and Path(output).exists():
        raise UsageError(
            "the file already exists; it is not overwritten", where=output, next_step="choose another -o FILE"
        )
    if serves or on in CLUSTERS:
        of_jobs = {"--run": run_folder, "--data": data, "--accelerator": accelerator, "--workers": workers > 1}
        _require_no_job(serves, on, {**of_jobs, "--spot": spot, "--set": overrides, "--no-check": no_check})
        served = api.launch_server(recipe, on, image=image, replicas=replicas or 1, file=output or "FILE")
        if output:
            write_file(Path(output), served.text, elsewhere="choose another -o FILE")
        if as_json:
            print_json(served.as_dict())
        elif not output:
            echo(served.text, nl=False)
        return 0
    if replicas is not None or not run_folder:
        raise UsageError(
            "a job needs --run" if replicas is None else "--replicas is for a server",
            expected="--run gs://BUCKET/FOLDER" if replicas is None else "--serve --on kserve or kubernetes",
            next_step="kft launch --help",
        )
    result = api.launch(
        load_named(recipe, overrides),
        on,
        image=image,
        run=run_folder,
        data=data,
        accelerator=accelerator,
        workers=workers,
        spot=spot,
        check=not no_check,
        quiet=quiet,
    )
    if output:
        write_file(Path(output), result.text, elsewhere="choose another -o FILE")
    if as_json:
        print_json(result.as_dict())
    elif not output:
        echo(result.text, nl=False)
    if not quiet:
        echo(f"memory     {result.job.memory}", err=True)
        if output:
            echo(f"written    {output}; its first lines say what to do\nnext       {result.submit(output)}", err=True)
    return 0


def _require_no_job(serves: bool, on: str, options: dict[str, object]) -> None:
    """Refuses a server that is asked for by halves, or with what only a job has."""
    given = [name for name, value in options.items() if value]
    if serves and on in CLUSTERS and not given:
        return
    raise UsageError(
        f"{', '.join(given)} is for a job" if given else f"--serve and --on {on} do not fit",
        expected=f"--serve with --on {' or '.join(CLUSTERS)}; a job with --on {', '.join(DEFAULTS)}",
        next_step="kft launch --help",
    )


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("count", type=click.IntRange(1, 64), metavar="N")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, required=True)
@click.option("--logs", default="workers", show_default=True, help="Folder for the output of all but the first worker.")
@click.option(
    "--restarts",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    help="How often at most.",
)
@debug_option
def workers(count: int, command: tuple[str, ...], logs: str, restarts: int) -> int:
    """Run COMMAND as N local workers that train as one; when one dies, all are started again.

    kft workers 2 -- kft train RECIPE --devices multi-worker --run DIR --resume
    """
    from kft.launch.workers import supervise

    def report(line: str) -> None:
        echo(f"workers    {line}", err=True)

    return supervise(count, command, logs=Path(logs), restarts=restarts, report=report)


COMMANDS = (launch, workers)
