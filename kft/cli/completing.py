"""`kft completion`: what a shell needs to complete commands, options and their values."""

from __future__ import annotations

import os
from pathlib import Path

import rich_click as click
from click.shell_completion import get_completion_class

from kft.cli.common import debug_option
from kft.errors import UsageError
from kft.records.files import write_file
from kft.terminal import echo

PLACES = {
    "bash": "~/.local/share/bash-completion/completions/kft",
    "zsh": "~/.zfunc/_kft",
    "fish": "~/.config/fish/completions/kft.fish",
}
"""Where each shell looks by itself; zsh where fpath names the folder."""
ZSH = "zsh looks there with these lines in ~/.zshrc: fpath+=~/.zfunc; autoload -Uz compinit && compinit"


@click.command()
@click.argument("shell", type=click.Choice(list(PLACES)), required=False)
@click.option("--install", is_flag=True, help="Write it where the shell looks for it, in your home folder.")
@debug_option
@click.pass_context
def completion(context: click.Context, shell: str | None, install: bool) -> None:
    """Print what SHELL (default: yours) needs to complete commands and options of kft; --install puts it there."""
    name = shell or Path(os.environ.get("SHELL", "")).name
    if name not in PLACES:
        raise UsageError(
            "this shell is not known",
            where="SHELL",
            received=name or "no SHELL in the environment",
            expected=", ".join(PLACES),
            next_step="kft completion bash --install",
        )
    made = get_completion_class(name)
    assert made is not None  # click has all three
    script = made(context.find_root().command, {}, "kft", "_KFT_COMPLETE").source()
    if not install:
        echo(script)
        return
    path = Path(PLACES[name]).expanduser()
    write_file(path, script)
    echo(f"written    {path}: open a new shell, then type kft and a tab")
    if name == "zsh":
        echo(f"note       {ZSH}")


COMMANDS = (completion,)
