"""`kft export`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shlex import quote

import rich_click as click

from kft.cli.common import output_options, print_json, terms_option
from kft.deploy.formats.all_formats import FORMATS, REFUSED
from kft.deploy.formats.language import LANGUAGE_FORMATS
from kft.deploy.signing import SIGNATURE
from kft.records.estimate import metric_title, percent
from kft.records.quantized import Quantized
from kft.terminal import echo

QUANTIZATIONS = sorted({name for each in FORMATS for name in each.quantizations})


@click.command()
@click.argument("run")
@click.argument("destination", metavar="DEST")
@click.option(
    "--format",
    "format_",
    type=click.Choice((*FORMATS.names(), *LANGUAGE_FORMATS.names(), *REFUSED)),
    metavar="|".join((*FORMATS.names(), *LANGUAGE_FORMATS.names())),
    help="Of the model's file; default: onnx. The last three are of language models, whose default is keras-hub.",
)
@click.option(
    "--quantize",
    type=click.Choice(QUANTIZATIONS),
    help="Smaller numbers; what they cost is measured on the test split and written into the artifact.",
)
@click.option("--force", is_flag=True, help="Ship it although a gate fails or a file was changed, and say so in it.")
@click.option("--wheel", is_flag=True, help="Also write it beside DEST as a wheel: pip install brings what it needs.")
@click.option(
    "--sign",
    metavar="KEY",
    help="Also sign it with this private key (PEM), as kft sign does; KFT_KEY_PASSWORD holds the key's password.",
)
@click.option(
    "--keep-examples",
    type=click.IntRange(0, 1000),
    default=0,
    metavar="N",
    help="So many test rows go along as they are, for people who watch the model to look at; none is the default.",
)
@terms_option
@output_options
def export(
    run: str,
    destination: str,
    format_: str | None,
    quantize: str | None,
    force: bool,
    wheel: bool,
    sign: str | None,
    keep_examples: int,
    as_json: bool,
    quiet: bool,
) -> int:
    """Write RUN as a folder DEST that answers without kft, after proof that it answers as what was evaluated.

    A fresh process, where kft cannot be imported, answers the test split. Exit 1 when a gate of the recipe fails.
    """
    import os

    from kft.api import exporting
    from kft.deploy.wheel import wheel_name

    about = exporting.export(
        *(run, destination),
        format=format_ or "",
        quantize=quantize or "",
        force=force,
        keep_examples=keep_examples,
        wheel=wheel,
        sign=sign,
        password=os.environ.get("KFT_KEY_PASSWORD"),
        quiet=quiet,
    )
    written = Path(destination).parent / wheel_name(about) if wheel else None
    if as_json:
        print_json({"artifact": destination, "wheel": written, "about": about})
        return 0
    for line in told(about.quantized) if about.quantized else ():
        echo(line)
    how = f", {about.quantized.how}" if about.quantized else ""
    held = f"{about.name} {about.version} ({about.format}{how}) in {destination}"
    if (parity := about.parity) is not None and parity.by:
        held += f": {parity.n:,} of {parity.of:,} test rows written as they were evaluated, by {parity.by}; "
        held += f"logits within {parity.largest:.1e} of their standard deviation"
    elif parity is not None:
        held += f": {parity.n:,} of {parity.of:,} test rows answered as they were evaluated, "
        held += f"probabilities within {parity.largest:.1e}"
    echo(held)
    if sign is not None:
        echo(f"signed     {Path(destination) / SIGNATURE}")
    if written is not None:
        echo(f"pip install {written}")
    elif parity is not None and not parity.by:  # one that answers
        step = f"kft promote {quote(destination)} NAME puts it on a shelf, for kft serve and kft monitor"
        echo(f"next       {step}", err=True)
    return 0


def told(cost: Quantized) -> Iterator[str]:
    """Yields what quantizing costs, a line each."""
    yield f"quantized  {cost.how}: {cost.n:,} of {cost.of:,} test rows beside the answers that were evaluated"
    if cost.documents:
        yield f"documents  {cost.documents:,}, each given a vector by both models"
    for name, value in cost.before.items():
        yield f"{metric_title(name):<10} {value:.4f}, now {cost.after[name]:.4f}"
    drop = cost.drop
    yield f"drop       of {metric_title(cost.metric)}: {drop.value:.4f} [{drop.low:.4f}, {drop.high:.4f}]"
    noun = "first documents" if cost.documents else "labels"
    labels = "" if cost.labels_changed is None else f"{percent(cost.labels_changed)} of {noun}, "
    yield f"changed    {labels}{percent(cost.abstentions_changed)} of abstentions"
    whole, ships = cost.whole, cost.ships
    before = f"{whole.p50_ms} and {whole.p99_ms} ms before"
    yield f"p50, p99   {ships.p50_ms} and {ships.p99_ms} ms a single example; {before}"
    yield f"size       {ships.bytes / 1e6:.1f} MB; {whole.bytes / 1e6:.1f} MB before"
    for name, gate in cost.gates.items():
        yield f"gate       {name} {gate.rule}: reached {gate.reached}{'' if gate.passed else ', fails'}"


COMMANDS = (export,)
