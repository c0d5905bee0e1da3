"""What kft says on a terminal: nothing from data, names or recipes acts there, as markup or as a control sequence.

Everything printed for people goes through ``echo`` or a ``SafeConsole``; JSON goes through ``echo_json``.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from typing import IO, Any

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from kft.characters import visible, visible_json


class SafeConsole(Console):
    """A console that shows strings as they are: no markup, no emoji by name, characters that act as their escapes.

    What kft itself styles is a ``rich.text.Text``, such as ``styled`` makes. A reader that went away ends no command.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible(text, lines=True), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            plain = segment.control is not None or segment.text.isprintable()
            yield segment if plain else Segment(visible(segment.text, lines=True), segment.style)

    def on_broken_pipe(self) -> None:
        """Goes on into nothing; rich would exit with 1, which means that a gate says no."""
        self.quiet = True
        drop_output(sys.stdout)


def styled(style: str, text: str, rest: str = "") -> Text:
    """Returns a text in a style, and what follows it without one; both shown as they are.

    Example:
        >>> styled("red", "failed", " [b]").plain
        'failed [b]'
    """
    return Text.assemble((visible(text, lines=True), style), visible(rest, lines=True))


def echo(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Prints lines of kft's own, with what came from elsewhere made visible."""
    click.echo(visible(text, lines=True), err=err, nl=nl)


def echo_json(text: str) -> None:
    """Prints JSON; characters that act are escapes of JSON, so that it is the same document."""
    click.echo(visible_json(text))


class _Forgiving(io.TextIOWrapper):
    """A stream whose reader may go away: what is written from then on goes nowhere."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except BrokenPipeError:
            _to_nothing(self.fileno())
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except BrokenPipeError:
            _to_nothing(self.fileno())
            super().flush()


def _to_nothing(descriptor: int) -> None:
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, descriptor)
    os.close(nothing)


def forgive_closed_pipes() -> None:
    """Lets standard output and standard error outlive their readers: `kft check ... | head` ends as it would alone."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        try:
            descriptor = stream.fileno()
        except (AttributeError, OSError, ValueError):  # closed, or something that a caller put there
            continue
        stream.flush()
        raw = io.BufferedWriter(io.FileIO(descriptor, "w", closefd=False))
        wrapped = _Forgiving(
            raw,
            encoding=stream.encoding,
            errors="backslashreplace",
            line_buffering=stream.line_buffering or name == "stderr",
        )
        setattr(sys, name, wrapped)


def drop_output(stream: IO[str] | None) -> None:
    """Sends what a stream still holds, and all that follows, nowhere."""
    try:
        if stream is not None:
            _to_nothing(stream.fileno())
    except (OSError, ValueError):
        return
