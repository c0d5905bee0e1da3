"""`kft promote`, `kft rollback`, `kft versions`, `kft verify` and `kft sign`."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import rich_click as click
from rich.table import Table

from kft.characters import visible
from kft.cli.common import console, debug_option, json_option, print_json
from kft.terminal import echo

if TYPE_CHECKING:
    from kft.api.shelving import Promoted
    from kft.records.shelf import Alias

shelf_option = click.option(
    "--shelf",
    default="shelf",
    show_default=True,
    envvar="KFT_SHELF",
    show_envvar=True,
    metavar="FOLDER",
    help="The folder of all names, or its URL (gs://BUCKET/SHELF).",
)
why_option = click.option("--why", default="", metavar="TEXT", help="For the audit trail.")


@click.command()
@click.argument("artifact")
@click.argument("name")
@shelf_option
@click.option(
    "--alias",
    type=click.Choice(["champion", "challenger"]),
    default="champion",
    show_default=True,
    help="What names this version from now on.",
)
@why_option
@click.option("--force", is_flag=True, help="Promote what the gate is against; the trail says so.")
@click.option("--mlflow", "uri", metavar="URI", help="Register it with this MLflow server instead of a shelf.")
@json_option
@debug_option
def promote(
    artifact: str, name: str, shelf: str, alias: Alias, why: str, force: bool, uri: str | None, as_json: bool
) -> None:
    """Put ARTIFACT on a shelf as a version of NAME, and have an alias name it.

    ARTIFACT is what kft export wrote, or a version of a shelf: SHELF/NAME@challenger. Exit 1 when the artifact was
    forced, or its files are not those that were exported. Content that is there already is not stored twice.
    """
    from kft.api import shelving

    if uri is not None:
        made = shelving.register_mlflow(artifact, name, uri, alias=alias, why=why, force=force)
        if as_json:
            print_json(made)
        else:
            echo(f"{made.alias:<10} {made.name} version {made.version}, {made.uri}")
        return
    done = shelving.promote(artifact, name, shelf=shelf, alias=alias, why=why, force=force)
    _print_moved(done, as_json)
    if not as_json:
        place = quote(done.folder.rpartition("/")[0] + ("" if alias == "champion" else f"@{alias}"))
        echo(f"next       kft serve {place} answers; kft monitor {place} DATA watches what it is asked", err=True)


@click.command()
@click.argument("name")
@shelf_option
@why_option
@json_option
@debug_option
def rollback(name: str, shelf: str, why: str, as_json: bool) -> None:
    """Have the champion of NAME be the one before it."""
    from kft.api import shelving

    _print_moved(shelving.rollback(name, shelf=shelf, why=why), as_json)


@click.command()
@click.argument("name", required=False)
@shelf_option
@json_option
@debug_option
def versions(name: str | None, shelf: str, as_json: bool) -> None:
    """Show which versions of NAME there are, what its aliases name and who moved them; all names without NAME."""
    from kft.api import shelving

    stands = shelving.versions(name, shelf=shelf)
    if as_json:
        print_json({"shelf": shelf, "names": stands})
        return
    if not stands:
        echo(f"nothing on {shelf} yet; kft promote ARTIFACT NAME --shelf {shelf} puts an artifact there", err=True)
    out = console()
    for stand in stands:
        table = Table("version", "alias", "since", "artifact", "forced", title=stand.name, title_justify="left")
        for row in stand.rows():
            table.add_row(*row)
        out.print(table)
        if stand.missing:
            out.tell(f"missing    the trail does not tell of moves {', '.join(map(str, stand.missing))}")
        for move in stand.trail if name else stand.trail[-1:]:
            before = "nothing" if move.previous is None else move.previous
            said = f": {visible(move.why)}" if move.why else ""
            forced = ", forced" if move.forced else ""
            what = f"{move.action} {move.alias} {before} -> {move.version}{forced}"
            out.tell(f"{move.at} {visible(move.who)} {what}{said}")


@click.command()
@click.argument("artifact")
@click.option("--public-key", metavar="FILE", help="Ask for a signature by the key whose public half this is.")
@json_option
@debug_option
def verify(artifact: str, public_key: str | None, as_json: bool) -> int:
    """Hold every file of ARTIFACT against what was exported; exit 1 when one is not as it was.

    ARTIFACT is a folder, or a version of a shelf: SHELF/NAME@champion.
    """
    from kft.api import shelving

    found = shelving.verify(artifact, public_key=public_key)
    if as_json:
        print_json(found)
        return 1 if found.problems else 0
    out = console()
    out.tell(f"artifact   {found.artifact}")
    out.tell(f"model      {found.model}")
    out.tell(f"sha256     {found.digest} of artifact.json")
    receipt, parity = found.receipt, found.about.parity
    out.tell(f"receipt    trained {receipt.created}, on {receipt.backbone}, seed {receipt.seed}")
    for what in ("recipe", "data", "split", "weights"):
        out.tell(f"{what:<10} {getattr(receipt, f'{what}_hash')}")
    if parity is not None:
        told = f"{parity.n:,} of {parity.of:,} test rows as they were evaluated, within {parity.tolerance:g}"
        out.tell(f"parity     {told}")
    if (cost := found.about.quantized) is not None:
        told = f"{cost.how}; {cost.n:,} of {cost.of:,} test rows, {cost.metric} {cost.after[cost.metric]:.4f}"
        out.tell(f"quantized  {told}, {cost.before[cost.metric]:.4f} before")
    for why in found.forced:
        out.tell(f"forced     {why}")
    out.tell(f"signed     {found.signed}")
    for problem in found.problems:
        out.tell(f"wrong      {problem}")
    if not found.problems:
        out.tell(f"files      all {found.n} are as they were exported")
    return 1 if found.problems else 0


@click.command()
@click.argument("artifact")
@click.option("--key", required=True, metavar="FILE", help="A private key on a curve of NIST's, as PEM.")
@json_option
@debug_option
def sign(artifact: str, key: str, as_json: bool) -> None:
    """Sign ARTIFACT, whose files are first held against what was exported.

    The signature is model.sig in its folder, by the OpenSSF Model Signing specification. KFT_KEY_PASSWORD holds the
    key's password, where it has one.
    """
    import os

    from kft.api import shelving

    written = shelving.sign(artifact, key, password=os.environ.get("KFT_KEY_PASSWORD"))
    if as_json:
        print_json({"signature": Path(written)})
        return
    echo(f"signed     {written}", err=True)


def _print_moved(done: Promoted, as_json: bool) -> None:
    if as_json:
        print_json(done)
        return
    out = console()
    move = done.move
    if move is None:
        out.tell(f"unchanged  {done.folder} is what was asked for already")
        return
    before = "" if move.previous is None else f", before it {move.previous}"
    out.tell(f"{move.alias:<10} {done.name} version {move.version}{before}")
    out.tell(f"{'stored' if done.stored else 'there':<10} {done.folder}")
    for why in move.forced:
        out.tell(f"forced     {why}")
    if done.changed:
        out.tell(f"warning    {visible(done.changed)}: whoever asks the champion may count on them")


COMMANDS = (verify, sign, promote, rollback, versions)
