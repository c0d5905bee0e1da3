"""The first thing a process of kft's does: it takes no module from the current folder, and hears signals.

Only where the process is the command line, ``kft`` or ``python -m kft...``: a script or a notebook that imports kft
keeps its own path and handlers. Nothing is imported here that Python has not loaded by itself, but for ``signal``.
"""

from __future__ import annotations

import os
import sys

PROGRAMS = ("kft", "kft.exe")
"""What the command is called; pip writes it."""
INSTALLED = ("site-packages", "dist-packages")
"""What folders of installed packages are called."""


def is_program() -> bool:
    """Whether this process is kft's own command line."""
    words = getattr(sys, "argv", None) or [""]
    if words[0] != "-m":
        return os.path.basename(words[0]) in PROGRAMS
    # Python still looks for the module, and has put "-m" where its path will stand.
    module = sys.orig_argv[-len(words)].removeprefix("-m")
    return module.partition(".")[0] == "kft"


def leave_current_folder() -> None:
    """Takes the folder that kft was started from out of ``sys.path``: a file there may be called like a module.

    It gets there by ``python -m``, and by an entry of PYTHONPATH that is empty or relative. What Python loads before it
    comes to kft cannot be helped here: docs/security.md.
    """
    if sys.argv[0] == "-m" and not sys.flags.safe_path and sys.path:
        del sys.path[0]
    if sys.flags.ignore_environment:
        return
    for entry in relative_entries(os.environ.get("PYTHONPATH", "")):
        folder = os.path.abspath(entry)
        if folder in sys.path and os.path.basename(folder) not in INSTALLED:
            sys.path.remove(folder)


def relative_entries(path: str) -> list[str]:
    """Returns the entries of a PYTHONPATH that mean the current folder, or one that is found from there.

    Example:
        >>> import os
        >>> relative_entries(os.pathsep.join(["/a", "", "b"])), relative_entries("")
        (['', 'b'], [])
    """
    return [entry for entry in path.split(os.pathsep) if not os.path.isabs(entry)] if path else []


def hear_signals() -> None:
    """Lets SIGTERM and Ctrl-C end kft in words while it is loaded; ``kft.cli.signals`` sets other handlers then."""
    import signal

    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and a shell's background leave it
            signal.signal(number, _end)


def _end(number: int, frame: object) -> None:
    os.write(2, b"%s; nothing was written\n" % (b"interrupted" if number == 2 else b"terminated"))
    os._exit(128 + number)
