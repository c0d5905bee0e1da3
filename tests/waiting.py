"""Waits for what another thread, or another process, does."""

import time
from collections.abc import Callable
from typing import Any


def wait_until(met: Callable[[], Any], seconds: float = 60, pause: float = 0.005) -> None:
    """Returns once something holds; fails where that takes too long."""
    limit = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < limit
        time.sleep(pause)
