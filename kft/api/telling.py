"""Who is told what a monitor says: a page for people, figures for Prometheus, a POST on an alarm."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kft.errors import StorageError
from kft.monitor.textfile import require_textfile, write_textfile
from kft.monitor.webhook import message_of, post, require_webhook
from kft.records.document import write_document
from kft.records.files import ELSEWHERE, require_writable, write_file
from kft.records.monitored import NAME, MonitorResult

PAGE = "report.html"


@dataclass(frozen=True)
class Told:
    """Who is told.

    Attributes:
        folder: For monitor.json and report.html.
        textfile: For Prometheus's node exporter.
        webhook: Where an alarm is posted to.
    """

    folder: Path | None = None
    textfile: Path | None = None
    webhook: str = ""


NOBODY = Told()


def who_is_told(folder: str | Path | None, textfile: str | Path | None, webhook: str | None) -> Told:
    """Returns who is told, before anything is computed for them.

    Raises:
        StorageError: A folder cannot be written.
        UsageError: The file is none that an exporter reads, or nothing may be posted to the address.
    """
    page = None if folder is None else Path(folder).expanduser()
    file = None if textfile is None else require_textfile(Path(textfile).expanduser())
    for place in (page, file and file.parent):
        if place is not None:
            require_writable(place)
    return Told(page, file, require_webhook(webhook) if webhook else "")


def tell(
    result: MonitorResult,
    told: Told,
    labels: Sequence[str] = (),
    posted: str = "",
    pause: Callable[[float], None] = time.sleep,
) -> tuple[MonitorResult, str]:
    """Tells them; an alarm is told to all, whichever of them fails.

    Args:
        result: What the monitor says.
        told: Who is told.
        labels: Of the classes, in the order of the artifact.
        posted: What was posted last, and where to, as this returns it: the same is not posted there again.
        pause: Waits so many seconds, between two tries of a POST.

    Returns:
        The result, with a note of each who could not be told; and a hash of the alarm that was posted last and of its
        address, which may hold a secret.

    Raises:
        StorageError: The folder cannot be written, and there is no alarm, whose exit code counts more.
    """
    notes = []
    if told.textfile is not None:
        try:
            write_textfile(told.textfile, result, time.time())
        except StorageError as error:
            notes.append(f"{told.textfile} was not written: {error.problem}")
    if told.webhook and result.drift:
        message = message_of(result)
        key = hashlib.sha256(f"{message['id']} {told.webhook}".encode()).hexdigest()
        if key == posted:
            notes.append("this alarm was posted to that address before, and is not posted again")
        elif (delivery := post(told.webhook, message, pause)).problem:
            notes.append(delivery.line)
        else:
            posted = key
    if told.folder is not None:
        from kft.report.monitor_page import render_monitor

        try:
            write_document(told.folder / NAME, result, elsewhere=ELSEWHERE)
            write_file(told.folder / PAGE, render_monitor(result, labels), elsewhere=ELSEWHERE)
        except StorageError as error:
            if not result.drift:
                raise
            notes.append(f"{told.folder} was not written: {error.problem}")
    return replace(result, notes=(*result.notes, *notes)), posted
