"""The page of commands, from click."""

import inspect

import click

from kft.cli import main as program

INTRO = """# Commands

Every command and option, as `kft --help` has them. Exit codes: [errors and exit codes](errors.md).
"""


def page() -> str:
    """The whole page."""
    group = program.cli
    parts = [INTRO]
    for stage, names in program.STAGES.items():
        parts.append(f"## {stage}")
        for name in names:
            parts += _command(group.commands[name], f"kft {name}")
    listed = {name for names in program.STAGES.values() for name in names}
    assert listed == set(group.commands), f"commands without a stage: {set(group.commands) - listed}"
    return "\n\n".join(parts) + "\n"


def _command(command, called):
    context = click.Context(command, info_name=called)
    yield f"### `{called}`"
    yield f"```text\n{called} {' '.join(command.collect_usage_pieces(context))}\n```"
    yield _prose(command.help or "")
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _command(inner, f"{called} {name}")
        return
    rows = [record for option in command.params if (record := option.get_help_record(context)) and record[1]]
    if rows:
        table = ["| option | does |", "| --- | --- |"]
        yield "\n".join(table + [f"| `{_cell(option)}` | {_cell(does)} |" for option, does in rows])


def _prose(text):
    """Help as Markdown: a paragraph that click keeps as it is becomes a block."""
    paragraphs = inspect.cleandoc(text).split("\n\n") if text else []
    kept = [f"```text\n{each[2:].lstrip()}\n```" if each.startswith("\b\n") else each for each in paragraphs]
    return "\n\n".join(kept)


def _cell(text):
    return " ".join(text.split()).replace("|", "\\|")
