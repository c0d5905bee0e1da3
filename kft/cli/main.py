"""The entry point: the group of commands, and how errors and signals become messages and exit codes.

Exit codes: 0 done, 1 a gate or an error finding says no, 2 usage, recipe or data error, 3 anything unexpected, 130 on
Ctrl-C, 143 on SIGTERM.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import traceback
from pathlib import Path
from shlex import quote
from typing import NoReturn

import rich_click as click
from click.exceptions import Exit

from kft import __version__, runtime
from kft.characters import visible
from kft.cli import signals
from kft.cli.common import debug_wanted
from kft.cli.first_step import first_step
from kft.cli.signals import Terminated
from kft.errors import KftError
from kft.records.files import FULL
from kft.records.run_folder import RUN_NOTE
from kft.registry import nearest
from kft.terminal import columns_of, drop_output, echo, forgive_closed_pipes, set_to_width


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kft")
def cli() -> None:
    """From a pretrained model and your labelled data to a model you can trust, with proof of each step."""


STAGES = {
    "In the browser": ("ui",),
    "Prepare": ("init", "check", "choose", "data"),
    "Train": ("plan", "train", "compare", "workers", "launch"),
    "Judge": ("evaluate", "report", "runs"),
    "Ship": ("export", "verify", "sign", "promote", "rollback", "versions"),
    "Keep": ("monitor", "queue", "retrain", "clean"),
    "Use": ("predict", "generate", "serve", "index", "search"),
    "Look up": ("recipes", "recipe", "models", "cache", "doctor", "completion"),
}
"""The commands in the order of a model's life, as `kft --help` shows them."""
click.rich_click.COMMAND_GROUPS = {
    "kft": [{"name": stage, "commands": list(commands)} for stage, commands in STAGES.items()]
}


def _register() -> None:
    from kft.cli import (
        caching,
        checking,
        choosing,
        cleaning,
        comparing,
        completing,
        data,
        evaluating,
        exporting,
        generating,
        launching,
        listing,
        monitoring,
        queueing,
        reporting,
        retraining,
        searching,
        serving,
        shelving,
        starting,
        training,
        ui,
        using,
    )

    for module in (
        starting,
        data,
        checking,
        choosing,
        comparing,
        training,
        evaluating,
        reporting,
        listing,
        shelving,
        using,
        generating,
        serving,
        searching,
        monitoring,
        exporting,
        queueing,
        retraining,
        launching,
        caching,
        cleaning,
        completing,
        ui,
    ):
        for command in module.COMMANDS:
            cli.add_command(command)


def main() -> NoReturn:
    """Runs the command line and exits with the documented code."""
    signals.hear()
    runtime.own_this_process()
    forgive_closed_pipes()
    code = run(sys.argv[1:])
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
    except OSError as error:  # a full disk behind `>`
        drop_output(sys.stdout)
        code = code or _fail(f"the output cannot be written\n  received: {error.strerror}", 3)
    signals.end_with(code)
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Runs one command and returns its exit code."""
    try:
        result = cli.main(args=arguments or ["--help"], prog_name="kft", standalone_mode=False)
        if not arguments:
            echo(f"next       {visible(first_step(Path.cwd()))}")
        return result if isinstance(result, int) else 0
    except Exit as exit_:
        return exit_.exit_code
    except click.ClickException as error:
        vars(error).update(message=visible(with_hint(error), lines=True))
        error.show()
        return 2
    except KftError as error:
        return _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, click.Abort, Terminated) as stop:
        return _stopped(stop)
    except SystemExit as stop:  # of a library's
        return stop.code if isinstance(stop.code, int) else 3 if stop.code else 0
    except BaseException as error:  # a panic of Rust's is no Exception
        return _stopped(error) if signals.told() else _unexpected(error)


def with_hint(error: click.ClickException) -> str:
    """Returns what click says, with the nearest command where one is not known; before 8.2 it names none itself."""
    if getattr(error, "possibilities", None):
        return error.message
    unknown = re.fullmatch(r"No such command '(.+)'\.", error.message)
    group = getattr(getattr(error, "ctx", None), "command", None)
    hint = nearest(unknown[1], list(group.commands)) if unknown and isinstance(group, click.Group) else None
    return error.message + (f" Did you mean {hint!r}?" if hint else "")


def _unexpected(error: BaseException) -> int:
    exhausted = type(error).__name__ == "ResourceExhaustedError"  # TensorFlow's own, for memory and disks alike
    if (exhausted and "No space left" in str(error)) or getattr(error, "errno", None) in FULL:
        problem, step = "the disk is full, or its inodes are used up", "free some space, or use another disk"
    elif getattr(error, "errno", None) in (errno.EMFILE, errno.ENFILE):
        problem, step = "too many files are open", "raise the limit (ulimit -n 4096), and run the command again"
    elif isinstance(error, MemoryError) or exhausted or getattr(error, "errno", None) == errno.ENOMEM:
        problem, step = "not enough memory", "lower train.batch_size or model.max_tokens"
    else:
        problem = f"unexpected {type(error).__name__}: {error}"
        step = "run the command again with --debug, and report what it prints"
    folder = _run_folder(error)
    where = f"\n  where:    {folder}" if folder else ""
    return _fail(f"{problem}{where}\n  next:     {step}", 3)


def _stopped(stop: BaseException) -> int:
    """Says that a signal ended the command; what was being imported may have turned it into an error of its own."""
    number = signals.told() or (signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)
    how = "terminated" if number == signal.SIGTERM else "interrupted"
    return _fail(_interrupted(how, stop), 128 + number)


def _fail(message: str, code: int) -> int:
    if debug_wanted():
        echo(traceback.format_exc(), err=True)
    label = "" if code in (130, 143) else "error "
    said = visible(set_to_width(label + message, columns_of(sys.stderr)), lines=True).removeprefix(label)
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"  # no-color.org; rich obeys both by itself
    click.echo((label if plain or not label else click.style("error", fg="red", bold=True) + " ") + said, err=True)
    return code


def _run_folder(stop: BaseException) -> Path | None:
    """Returns the run that an exception ended; training leaves a note of it on the exception."""
    # click turns Ctrl-C into an Abort of its own; the note is on the original.
    notes = [note for error in (stop, stop.__cause__, stop.__context__) for note in getattr(error, "__notes__", ())]
    return next((Path(note.removeprefix(RUN_NOTE)) for note in notes if note.startswith(RUN_NOTE)), None)


def _interrupted(how: str, stop: BaseException) -> str:
    folder = _run_folder(stop)
    if folder is None:
        return f"{how}; nothing was written"
    lines = [how, f"  where:    {folder}"]
    run, recipe = quote(str(folder)), quote(str(folder / "recipe.yaml"))
    if (folder / "unfinished").is_dir():
        done = sorted(path.stem for path in (folder / "unfinished").glob("*.npz"))
        lines.append(f"  kept:     {', '.join(done)}: done")
        lines.append(f"  next:     kft compare {recipe} --run {run} --resume goes on with the others")
        return "\n".join(lines)
    if (folder / "checkpoints" / "best.json").is_file():
        lines.append("  kept:     the best weights so far, in checkpoints/")
        lines.append(f"  next:     kft evaluate {run} scores them")
        lines.append(f"            kft train {recipe} --run {run} --resume goes on exactly there")
    else:
        lines.append(f"  next:     kft train {recipe} --run {run} --resume begins again in this folder")
    return "\n".join(lines)


try:
    _register()
except KeyboardInterrupt:  # where a program of a person's own imports this
    sys.exit(_fail("interrupted; nothing was written", 130))


if __name__ == "__main__":
    main()
