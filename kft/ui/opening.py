"""`kft ui`: the page's server, from the port it takes to the browser that is opened."""

from __future__ import annotations

import os
import webbrowser
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from platformdirs import user_state_path

from kft.api.serving import require_extra
from kft.errors import UsageError
from kft.ui.access import PageAccess, kept_token, make_own, write_private
from kft.ui.folder import OWN
from kft.ui.jobs import Jobs

HOST = "127.0.0.1"
REQUESTS, SECONDS = 64, 30.0
"""Requests at a time, and what one may take while the server ends."""
LEADS = """<!doctype html><meta charset="utf-8"><title>kft</title><meta http-equiv="refresh" content="0;url={url}">
<p><a href="{url}">Open kft</a></p>"""


def open_page(
    folder: str | Path = ".",
    *,
    port: int = 8765,
    browser: bool = True,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Answers the page of a folder until SIGTERM or Ctrl-C; what was started there goes on without it.

    Args:
        folder: What the page sees; it becomes the current one.
        port: Of this machine, which no other reaches; 0 takes any that is free.
        browser: Whether a browser is opened, where there is a screen.
        ready: Is called with the address, which holds the token, once requests are answered.

    Raises:
        UsageError: The extra is not installed, the port is taken, or there is no such folder.
        StorageError: The folder cannot be written.

    Example:
        >>> from kft.ui.opening import open_page
        >>> open_page("tickets")  # doctest: +SKIP
    """
    require_extra("kft ui")
    from kft.serve import running
    from kft.ui.app import make_app

    root = Path(folder).expanduser()
    if not root.is_dir():
        raise UsageError(
            "there is no such folder",
            where="kft ui",
            received=str(folder),
            expected="the folder that holds your data",
            next_step="kft ui, started in that folder",
        )
    os.chdir(root)
    root = Path.cwd()
    with running.take_port(HOST, port, "kft ui") as taken:
        make_own(root / OWN)
        # Not in the folder itself, which somebody else may have sent, with a token of their choice in it.
        state = make_own(user_state_path("kft") / "ui" / sha256(os.fsencode(root)).hexdigest()[:16])
        access = PageAccess(kept_token(state / "token"), taken.getsockname()[1])
        url = f"{running.address_of(taken)}/?token={access.token}"

        def begin() -> None:
            if ready is not None:
                ready(url)
            if browser and _has_screen():
                # Not the address itself: the arguments of a process can be read by everybody on this machine.
                write_private(state / "open.html", LEADS.format(url=url))
                webbrowser.open((state / "open.html").as_uri())

        running.run(make_app(root, access), taken, requests=REQUESTS, seconds=SECONDS, ready=begin)


def still_at_work() -> list[str]:
    """Returns what was started from the page of the current folder and has not ended, as a person would type it."""
    jobs = Jobs(Path.cwd())
    return [f"{job.command} (process {job.pid})" for job in jobs.all() if jobs.state(job) == "running"]


def _has_screen() -> bool:
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
