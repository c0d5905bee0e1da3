"""`kft generate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from kft.cli.common import debug_option, print_json, terms_option
from kft.errors import UsageError
from kft.terminal import echo

if TYPE_CHECKING:
    from kft.answer.write import Written


@click.command()
@click.argument("run")
@click.argument("prompt", required=False)
@click.option(
    "--messages",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Answer the chats of a file in place of PROMPT: jsonl, one a line, each with `messages`.",
)
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
    prompt: str | None,
    messages: str | None,
    max_tokens: int | None,
    temperature: float,
    top_p: float,
    seed: int,
    stop: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write the answer of the language model RUN to PROMPT, or to what stands on standard input where that is -.

    RUN is a run folder of the task causal-lm. The answer appears as it is written. Of several chats in a file the
    answers come one after the other; with --json in one list.
    """
    from kft.answer.write import Asking, Written
    from kft.api.generating import load_generator

    asking = Asking(max_tokens, temperature, top_p, seed, stop)
    if (prompt is None) == (messages is None):
        raise UsageError(
            "a prompt or a file of chats is wanted",
            received="both" if prompt else "neither",
            expected="one of them",
            next_step='kft generate RUN "your prompt", or kft generate RUN --messages FILE',
        )
    asked: list[Any] = [sys.stdin.read() if prompt == "-" else prompt]
    if messages is not None:
        from kft.data.dialogues import read_questions

        asked = read_questions(Path(messages))
    elif not asked[0].strip():
        raise UsageError("there is nothing to answer", received="an empty prompt", expected="a text")
    generator, answers = load_generator(run), []
    for each in asked:
        for piece in generator.stream(each, asking):
            if isinstance(piece, Written):
                answers.append(piece)
            elif not as_json:
                echo(piece, nl=False)
                sys.stdout.flush()
        if not as_json:
            _close(answers[-1])
    if as_json:
        print_json(answers[0] if messages is None else {"answers": answers})


def _close(answer: Written) -> None:
    """Ends the line of an answer, and says what is missing of it or its prompt."""
    echo("")
    if answer.cut:
        echo("note       the prompt is longer than the model reads: a part of it is missing", err=True)
    if answer.finish == "length":
        echo(f"note       the answer is cut at {answer.tokens:,} tokens", err=True)


COMMANDS = (generate,)
