"""`kft generate`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from kft.characters import visible
from kft.cli.common import debug_option, print_json, terms_option
from kft.errors import UsageError
from kft.terminal import echo

if TYPE_CHECKING:
    from kft.answer.write import Completion
    from kft.api.citing import CitedAnswer


OTHERWISE = (
    "the promise is about likeliest answers, written to their end, as in training; this one is written otherwise"
)
DECLINED = "no answer: not sure enough ({:.3f}); --anyway shows it"


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
@click.option("--index", metavar="DEST", help="Answer from passages that this index finds, and cite them.")
@click.option("--passages", type=click.IntRange(1), help="Of the index, at most; default: data.passages of the run, 3.")
@click.option("--context", multiple=True, metavar="TEXT", help="Answer from this passage; may be given again.")
@click.option("--anyway", is_flag=True, help="Answer also where no passage is good, or the run is not sure enough.")
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
    index: str | None,
    passages: int | None,
    context: tuple[str, ...],
    anyway: bool,
    as_json: bool,
) -> None:
    """Write the answer of the language model RUN to PROMPT, or to what stands on standard input where that is -.

    RUN is a run folder of the task causal-lm. The answer appears as it is written; of a run that promises how often
    it is wrong, once it is whole, or not at all where it is not sure enough. With --index, --context, or a run that
    was trained with passages, it is written from passages; where none is good, none is written. --anyway answers in
    either case. A line break at the end of standard input is no part of the prompt. Of several chats in a file the
    answers come one after the other; with --json in one list.
    """
    from kft.answer.write import SamplingParams
    from kft.api.citing import ground
    from kft.api.generating import load_generator

    asking, asked = SamplingParams(max_tokens, temperature, top_p, seed, stop), _asked(prompt, messages)
    generator = load_generator(run)
    found = None
    if index is not None or context or generator.spec.grounded:
        if messages is not None:
            raise UsageError(
                "passages are put before a prompt, not into a chat",
                received="--messages, with passages",
                expected="a prompt",
                next_step="leave --index, --context or --messages out",
            )
        found = ground(generator, asked[0], index=index, most=passages, context=context)
        for note in found.notes:
            echo(f"note       {visible(note)}", err=True)
        if found.why and not anyway:
            _say(found.declined(), as_json)
            return
        asked = [found.prompt]
    elif passages is not None or (anyway and not generator.declines):
        raise UsageError(
            "there are no passages",
            where="--anyway" if anyway else "--passages",
            received="no --index and no --context, and a run that was trained without passages",
            expected="one of them; or, of --anyway, a run that promises how often it is wrong",
            next_step="--index DEST, a folder of kft index",
        )
    waits = generator.declines and not anyway  # only what is whole is known to be sure enough
    if generator.declines and (not asking.as_judged or index is not None):
        echo(f"note       {OTHERWISE}", err=True)
    answers = [_write(generator.stream(each, asking), waits=waits, as_json=as_json) for each in asked]
    if messages is not None and as_json:
        print_json({"answers": answers})
    elif found is not None:
        _say(found.cite(answers[0]), as_json)
    elif as_json:
        print_json(answers[0])


def _asked(prompt: str | None, messages: str | None) -> list[Any]:
    """Returns the prompt, or the chats of a file."""
    if (prompt is None) == (messages is None):
        raise UsageError(
            "a prompt or a file of chats is wanted",
            received="both" if prompt else "neither",
            expected="one of them",
            next_step='kft generate RUN "your prompt", or kft generate RUN --messages FILE',
        )
    if messages is not None:
        from kft.data.dialogues import read_questions

        return list(read_questions(Path(messages)))
    assert prompt is not None
    given = sys.stdin.read().removesuffix("\n").removesuffix("\r") if prompt == "-" else prompt
    if not given.strip():
        raise UsageError("there is nothing to answer", received="an empty prompt", expected="a text")
    return [given]


def _write(pieces: Iterable[str | Completion], *, waits: bool, as_json: bool) -> Completion:
    """Shows an answer as it is written, or where its end decides whether it is given, once it is whole."""
    from kft.answer.write import Completion

    written = None
    for piece in pieces:
        if isinstance(piece, Completion):
            written = piece
            if waits and not as_json:
                echo(DECLINED.format(piece.confidence) if piece.abstain else piece.text, nl=False)
        elif not as_json and not waits:
            echo(piece, nl=False)
            sys.stdout.flush()
    assert written is not None  # it comes last
    if not as_json:
        _close(written)
    return written


def _close(answer: Completion) -> None:
    """Ends the line of an answer, and says what is missing of it or its prompt."""
    echo("")
    if answer.cut:
        echo("note       the prompt is longer than the model reads: a part of it is missing", err=True)
    if answer.finish == "length":
        echo(f"note       the answer is cut at {answer.tokens:,} tokens", err=True)


def _say(found: CitedAnswer, as_json: bool) -> None:
    """Says what an answer was written from, or why none was."""
    if as_json:
        print_json(found)
        return
    if found.finish == "none":
        echo(f"no answer: {found.why}; --anyway answers from the prompt alone")
    for name, sources in (("source", found.sources), ("left out", found.left_out)):
        for each in sources:
            score = "" if each.score is None else f", {each.score:.3f}"
            number = "" if each.number is None else f"[{each.number}] "
            cited = ", cited" if each.cited else ""
            echo(f"{name:<10} {number}{visible(each.document)} [{each.start}:{each.stop}]{score}{cited}", err=True)
    if found.unknown:
        named = ", ".join(f"[{number}]" for number in found.unknown)
        echo(f"warning    the answer cites {named}, which it was not given", err=True)
    if found.unsupported:
        words = visible(", ".join(found.unsupported))
        echo(f"warning    in no passage and not in the prompt: {words}", err=True)


COMMANDS = (generate,)
