"""What kft says on a terminal: nothing from data, names or recipes acts there, as markup or as a control sequence.

Everything printed for people goes through ``echo`` or a ``SafeConsole``; JSON goes through ``echo_json``.
"""

from __future__ import annotations

import io
import os
import re
import sys
import textwrap
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
        self._asked_width: int | None = options.get("width")

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible(text, lines=True), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            plain = segment.control is not None or segment.text.isprintable()
            yield segment if plain else Segment(visible(segment.text, lines=True), segment.style)

    def tell(self, text: str, style: str | None = None, most: int | None = None) -> None:
        """Prints lines of kft's own, set to the console's width, or to ``most`` columns; see ``set_to_width``."""
        width = self.width if self.is_terminal or "COLUMNS" in os.environ else self._asked_width
        width = most if width is None or (most and most < width) else width
        self.print(visible(set_to_width(text, width), lines=True), style=style, soft_wrap=True)

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


_COMMAND = re.compile(
    r"(?<![\w./-])(?:kft(?: data)? [a-z]+ (?:[-'\"A-Z]|\S*[./=_\d])"  # kft check recipe.yaml, not: kft check looks for
    r"|(?:pip|git|hf|iconv|gcloud|kubectl|bash|python|ulimit|fuser|kill|ls|df) [\w.<-])|--\w"
    r"|^ *(?:next|mend):? .*\bkft [a-z]|^ {4,}kft [a-z]"  # what to do next, whatever the names in it are
)
_LABEL = re.compile(r"(?: +\w+: +|\w[\w ]*? {2,}| {4,})(?=\S)")
NARROWEST = 24
"""Columns that a text keeps beside its label, however narrow the terminal is."""


def set_to_width(text: str, width: int | None) -> str:
    r"""Returns lines broken at spaces, what follows a label to its right; one with a command is left whole.

    Args:
        text: Lines of kft's own.
        width: In columns; None: as long as they are.

    Example:
        >>> print(set_to_width("data       3 train, 2 valid and 2 test\nnext       kft train recipe.yaml --run a", 28))
        data       3 train, 2 valid
                   and 2 test
        next       kft train recipe.yaml --run a
    """
    if width is None:
        return text
    lines = []
    for line in text.split("\n"):
        if len(line) <= width or _COMMAND.search(line):
            lines.append(line)
            continue
        found = _LABEL.match(line)
        label = found.group() if found else ""
        own = max(width - len(label), NARROWEST)
        parts = textwrap.wrap(line[len(label) :], own, break_long_words=False, break_on_hyphens=False)
        lines += [(label if place == 0 else " " * len(label)) + part for place, part in enumerate(parts)]
    return "\n".join(lines)


def columns_of(stream: IO[str]) -> int | None:
    """Returns how wide a stream's lines may be: its terminal's columns, or COLUMNS; None where neither is known."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal():
        return max(int(given), 1)
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError, AttributeError):
        return None


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
