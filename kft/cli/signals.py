"""Ctrl-C and SIGTERM: the first ends a command in words, a second at once; none of them shows a traceback."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Any

HEARD = (signal.SIGTERM, signal.SIGINT)
_told: list[int] = []


class Terminated(BaseException):
    """SIGTERM arrived."""


def hear() -> None:
    """Sets the handlers; a signal that whoever started kft has it ignore stays ignored."""
    _told.clear()
    for number in HEARD:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, on_signal)
    sys.unraisablehook = _on_unraisable


def told() -> int:
    """Returns the signal that has come, or 0."""
    return _told[0] if _told else 0


def on_signal(number: int, frame: FrameType | None) -> None:
    """Ends what is being done; whoever asks twice does not want to wait.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
        Terminated: SIGTERM has come.
    """
    if _told:
        _end_at_once()
    _told.append(number)
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated


def end_with(code: int) -> None:
    """Lets a signal that comes while Python takes itself apart end the process with the code that stands already."""
    for number in HEARD:
        signal.signal(number, lambda number, frame: os._exit(code))


def _end_at_once() -> None:
    os.write(2, b"ended at once; what was only half-written is not read\n")
    os._exit(128 + _told[0])


def _on_unraisable(lost: Any) -> None:
    if isinstance(lost.exc_value, (KeyboardInterrupt, Terminated)):  # it came where nothing can be raised
        _end_at_once()
    sys.__unraisablehook__(lost)
