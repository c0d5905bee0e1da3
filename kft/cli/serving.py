"""`kft serve`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import rich_click as click
from click.exceptions import Exit

from kft.cli import signals
from kft.cli.common import output_options, print_json, terms_option
from kft.cli.signals import Terminated
from kft.errors import UsageError
from kft.serve.limits import Limits
from kft.terminal import echo

USUAL = Limits()


@click.command()
@click.argument("artifacts", nargs=-1, metavar="[ARTIFACT|SHELF/NAME...]")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address; any but this machine's own needs a token."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@click.option("--token-file", metavar="FILE", help="The token that clients have to show; default: KFT_TOKEN, if set.")
@click.option(
    "--target-ms",
    type=click.FloatRange(1),
    default=1000 * USUAL.target_seconds,
    show_default=True,
    help="Latency target: batches are cut to it, and what would wait longer gets 429.",
)
@click.option(
    "--max-batch",
    type=click.IntRange(1),
    default=USUAL.batch,
    show_default=True,
    help="Inputs computed together; 1: none are.",
)
@click.option("--max-inputs", type=click.IntRange(1), default=USUAL.inputs, show_default=True, help="Of a request.")
@click.option("--max-tokens", type=click.IntRange(1), default=USUAL.tokens, show_default=True, help="Of a text.")
@click.option(
    "--max-body-mb",
    type=click.FloatRange(0, min_open=True),
    default=USUAL.body_bytes / 2**20,
    show_default=True,
    help="Of a request.",
)
@click.option("--max-queue", type=click.IntRange(1), default=USUAL.queue, show_default=True, help="Inputs that wait.")
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=USUAL.seconds,
    show_default=True,
    help="Seconds a request may take.",
)
@click.option("--record", metavar="FOLDER", help="Keep a bounded sample of requests and answers; no personal data.")
@click.option(
    "--shadow",
    multiple=True,
    metavar="[MODEL=]SHELF/NAME@challenger",
    help="Answers the same inputs later and to nobody; counted in /metrics, and kept where --record is on.",
)
@click.option(
    "--adapter",
    "adapters",
    multiple=True,
    metavar="NAME=RUN",
    help="Adapters on one base, which is the argument then; requests name them in model. May be given again.",
)
@click.option("--index", metavar="DEST", help="From kft index: answers POST /search.")
@click.option(
    "--log",
    type=click.Choice(["none", "requests", "contents"]),
    default="requests",
    show_default=True,
    help="Note of a request nothing, all but its contents, or those too.",
)
@click.option(
    "--follow-seconds",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    help="Between two looks at an alias.",
)
@terms_option
@output_options
def serve(
    artifacts: tuple[str, ...],
    host: str,
    port: int,
    token_file: str | None,
    target_ms: float,
    max_batch: int,
    max_inputs: int,
    max_tokens: int,
    max_body_mb: float,
    max_queue: int,
    timeout: float,
    record: str | None,
    shadow: tuple[str, ...],
    adapters: tuple[str, ...],
    index: str | None,
    log: str,
    follow_seconds: float,
    as_json: bool,
    quiet: bool,
) -> None:
    """Answer over HTTP: /predict, /v2 (Open Inference Protocol), /metrics, /docs, and a page to try it at /.

    A language model, a run of causal-lm or what was exported of one, answers /v1/chat/completions and /v1/completions.
    A name on a shelf is followed: when its alias moves, the other version takes over and no request is lost. NAME=
    before an artifact gives the model another name. With --index no artifact is needed. docs/serving.md goes through
    it all.
    """
    from kft.api import serving

    def ready(found: serving.Serving) -> None:
        if as_json:
            print_json(found.as_dict())
        elif not quiet:
            for model in found.models:
                echo(f"model      {model['name']}, version {model['version']}: {model['task']}", err=True)
                if "shadow" in model:
                    beside = model["shadow"]
                    echo(f"shadow     {model['name']}, version {beside['version']}, from {beside['from']}", err=True)
            if index is not None:
                echo(f"index      {index}: POST /search", err=True)
            echo(f"serving    {found.url}, {'with' if found.token else 'without'} a token", err=True)

    limits = {
        "target_seconds": target_ms / 1000,
        "batch": max_batch,
        "inputs": max_inputs,
        "tokens": max_tokens,
        "body_bytes": int(max_body_mb * 2**20),
        "queue": max_queue,
        "seconds": timeout,
    }
    with ends_by_signal():
        serving.serve(
            artifacts,
            host=host,
            port=port,
            token_file=token_file,
            limits=limits,
            record=record,
            shadow=shadow,
            index=index,
            adapters=_named(adapters),
            log=log,  # type: ignore[arg-type]
            follow_seconds=follow_seconds,
            say=lambda line: echo(line, err=True),
            ready=ready,
        )


@contextmanager
def ends_by_signal() -> Iterator[None]:
    """Has SIGTERM and Ctrl-C end a server in one word."""
    try:
        yield
    except (Terminated, KeyboardInterrupt):
        if not signals.told():
            raise
        echo("stopped", err=True)
        raise Exit(128 + signals.told()) from None


def _named(adapters: tuple[str, ...]) -> dict[str, str]:
    """Returns where adapters lie, by name.

    Raises:
        UsageError: One has no name, or the name of another.
    """
    found: dict[str, str] = {}
    for each in adapters:
        name, equals, place = each.partition("=")
        if not (name and equals and place) or "/" in name or name in found:
            raise UsageError(
                "adapters need a name each",
                where="--adapter",
                received=each,
                expected="NAME=RUN, and every name once",
                next_step="kft serve gemma3-270m --adapter invoices=runs/invoices-1",
            )
        found[name] = place
    return found


COMMANDS = (serve,)
