"""`kft generate`."""

from __future__ import annotations

import sys

import rich_click as click

from kft.cli.common import debug_option, print_json, terms_option
from kft.errors import UsageError
from kft.terminal import echo


@click.command()
@click.argument("run")
@click.argument("prompt")
@click.option("--max-tokens", type=int, help="Of the answer, at most; default: as many as responses had in training.")
@click.option("--temperature", type=float, default=0.0, show_default=True, help="0: the likeliest token each time.")
@click.option("--top-p", type=float, default=1.0, show_default=True, help="Draw among the likeliest with this share.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the draws.")
@click.option("--stop", multiple=True, metavar="TEXT", help="End the answer before this text; may be given again.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output, at the end.")
@terms_option
@debug_option
def generate(
    run: str,
    prompt: str,
    max_tokens: int | None,
    temperature: float,
    top_p: float,
    seed: int,
    stop: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write the answer of the language model RUN to PROMPT, or to what stands on standard input where that is -.

    RUN is a run folder of the task causal-lm. The answer appears as it is written.
    """
    from kft.answer.write import Asking, Written
    from kft.api.generating import load_generator

    asking = Asking(max_tokens, temperature, top_p, seed, stop)
    text = sys.stdin.read() if prompt == "-" else prompt
    if not text.strip():
        raise UsageError("there is nothing to answer", received="an empty prompt", expected="a text")
    for piece in load_generator(run).stream(text, asking):
        if not isinstance(piece, Written):
            if not as_json:
                echo(piece, nl=False)
                sys.stdout.flush()
            continue
        if as_json:
            print_json(piece)
            continue
        echo("")
        if piece.cut:
            echo("note       the prompt is longer than the model reads: its end is missing", err=True)
        if piece.finish == "length":
            echo(f"note       the answer is cut at {piece.tokens:,} tokens", err=True)


COMMANDS = (generate,)
