"""The blocks of code in README and docs, and the command lines in them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from kft.cli.main import cli

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
NOT_RUN = "not run by the tests: "
"""How the title of a block begins that no test runs; the reason follows."""
FENCE = re.compile(r'(?ms)^( *)```(\w*)(?: title="([^"]*)")?\n(.*?)^\1```$')


@dataclass(frozen=True)
class Block:
    """A block of code: where it stands, its language, its title, its text."""

    page: str
    line: int
    language: str
    title: str
    text: str

    @property
    def runs(self) -> bool:
        return not self.title.startswith(NOT_RUN)

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(path: Path) -> list[Block]:
    """The blocks of a page, in their order."""
    page = path.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(page):
        indent, language, title, text = match.groups()
        lines = (line.removeprefix(indent) for line in text.splitlines())
        found.append(Block(path.name, page.count("\n", 0, match.start()) + 1, language, title or "", "\n".join(lines)))
    assert len(found) * 2 == len(re.findall(r"(?m)^ *```", page)), f"{path.name}: a fence that is not understood"
    return found


def lines_of(text: str) -> list[str]:
    """The command lines of a block, without those that only hold a comment; a continued line is one."""
    joined = re.sub(r"\\\n\s*", " ", text)
    return [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def commands_of(line: str) -> Iterator[list[str]]:
    """Yields the arguments of each `kft` in a command line, from after the word kft."""
    lexer = shlex.shlex(line.lstrip("!"), posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, "#"
    command: list[str] = []
    for word in [*lexer, ";"]:
        if word not in (";", "&&", "||", "|", ">", ">>", "&"):
            command.append(word)
            continue
        while command and re.match(r"[A-Z_]+=", command[0]):
            command.pop(0)
        if command and command[0].rsplit("/", 1)[-1] == "kft":
            yield command[1:]
            if "--" in command:
                inner = command[command.index("--") + 1 :]
                yield from commands_of(shlex.join(inner))
        command = []


def parse(arguments: list[str], *, whole: bool = True) -> None:
    """Has click read a command line, and runs nothing.

    Args:
        arguments: What follows `kft`.
        whole: What a command requires has to be there; a mention in a sentence may lack it, or say NAME.

    Raises:
        click.UsageError: No such command, option or choice; or one is missing.
    """
    command: click.Command = cli
    arguments = list(arguments)
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        name = arguments.pop(0)
        inner = command.get_command(click.Context(command), name)
        if inner is None:
            raise click.UsageError(f"no such command: {name}")
        command = inner
    context = click.Context(command, info_name="kft")
    given, rest, _ = command.make_parser(context).parse_args(arguments)
    if rest and whole and not context.allow_extra_args:
        raise click.UsageError(f"one argument too many: {rest}")
    for option in command.params:
        value = given.get(option.name)
        missing = not isinstance(value, str | bool | int | tuple) or value == ()
        if missing and option.required and whole:
            raise click.UsageError(f"missing: {option.name}")
        stands_for = isinstance(value, str) and value.isupper() and not whole
        if (
            isinstance(value, str)
            and not stands_for
            and isinstance(option.type, (click.Choice, click.types.IntParamType))
        ):
            option.type.convert(value, option, context)
