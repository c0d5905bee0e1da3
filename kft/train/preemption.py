"""SIGTERM during training: noted, so that the state is written between two steps, then obeyed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn


@dataclass
class StopRequest:
    """Whether somebody asked this process to end."""

    asked: bool = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Notes SIGTERM instead of obeying it while the body runs; only the main thread hears signals."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGTERM, self._note)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)

    def obey(self) -> NoReturn:
        """Ends the process as SIGTERM would have at once; call it outside ``listening``."""
        signal.raise_signal(signal.SIGTERM)
        raise SystemExit(143)  # where whoever handles the signal lets it pass

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
