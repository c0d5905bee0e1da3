"""``--webhook``: an alarm as one POST of JSON, to whoever wants to be told.

https, or http to this machine alone. Redirects are not followed. The address is a secret (many services have nothing
else): messages name its host alone. What is posted holds names and figures, nothing of the rows.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from kft.errors import UsageError
from kft.records.monitored import GaugeSeen, MonitorResult

TRIES = 3
SECONDS = 5.0
"""That one try may take to connect, and to be answered."""
PAUSES = (1.0, 3.0)
"""Between the tries."""
AGAIN = (408, 425, 429)
"""What, besides 5xx, may be answered otherwise later."""


@dataclass(frozen=True)
class Delivery:
    """What became of a POST.

    Attributes:
        host: It went to.
        tries: How many were made.
        problem: Why it was not taken; empty where it was.
    """

    host: str
    tries: int
    problem: str = ""

    @property
    def line(self) -> str:
        """The same for people."""
        tries = f"after {self.tries} tries" if self.tries > 1 else "at once"
        return f"{self.host} was not told, {tries}: {self.problem}" if self.problem else f"{self.host} was told"


def require_webhook(url: str) -> str:
    """Returns an address that may be posted to.

    Raises:
        UsageError: It is neither https nor http to this machine, or it holds a user's name.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    fine = parts.scheme == "https" or (parts.scheme == "http" and _is_here(host))
    if host and fine and "@" not in parts.netloc and url.isprintable() and url.isascii() and " " not in url:
        return url
    raise UsageError(
        "no alarm can be sent to this address",
        where="--webhook",
        received=f"{parts.scheme or 'no scheme'}, host {host!r}" + (", with a user's name" * ("@" in parts.netloc)),
        expected="https://HOST/PATH, or http:// to this machine",
        next_step="--webhook https://...",
    )


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def message_of(result: MonitorResult) -> dict[str, Any]:
    """Returns what is posted: figures, and ``text``, which chat services show.

    ``id`` is the same for the same alarms of the same version: whoever gets it twice can tell.
    """
    alarms = [gauge for gauge in result.gauges if gauge.alarm]
    key = json.dumps([result.name, result.version, sorted((gauge.name, gauge.alarm) for gauge in alarms)])
    named = ", ".join(f"{gauge.name} (since {gauge.since or gauge.alarm})" for gauge in alarms)
    return {
        "event": "drift",
        "id": hashlib.sha256(key.encode()).hexdigest()[:16],
        "text": f"{result.name}, version {result.version}, has drifted: {named}; {result.rows:,} rows were looked at",
        "model": result.name,
        "version": result.version,
        "alpha": result.alpha,
        "rows": result.rows,
        "windows": len(result.windows),
        "alarms": [_alarm(gauge) for gauge in alarms],
    }


def _alarm(gauge: GaugeSeen) -> dict[str, Any]:
    change = gauge.change
    return {
        "gauge": gauge.name,
        "kind": gauge.kind,
        "about": gauge.about,
        "unit": gauge.unit,
        "first_alarm": gauge.alarm,
        "since": gauge.since or None,
        "evidence": round(gauge.evidence, 3),
        "alarm_at": None if gauge.threshold is None else round(gauge.threshold, 3),
        "change": None if change is None else {"value": change.value, "low": change.low, "high": change.high},
    }


class _NoRedirect(HTTPRedirectHandler):
    """Leaves a redirect as the answer it is: it may lead to where nothing is encrypted."""

    def redirect_request(self, *_: Any) -> None:
        return None


def post(url: str, message: Any, pause: Callable[[float], None] = time.sleep) -> Delivery:
    """Posts JSON; tries again where that may help. Never raises: an alarm must not hang on it.

    Args:
        url: From ``require_webhook``.
        message: Plain JSON.
        pause: Waits so many seconds.
    """
    host = urlsplit(url).hostname or ""
    # What is sent to this machine goes through no proxy.
    opener = build_opener(_NoRedirect(), *([ProxyHandler({})] if _is_here(host) else []))
    body = json.dumps(message, ensure_ascii=True).encode()
    problem = ""
    for number in range(1, TRIES + 1):
        request = Request(url, body, {"Content-Type": "application/json", "User-Agent": "kft"}, method="POST")
        try:
            with opener.open(request, timeout=SECONDS):
                return Delivery(host, number)
        except HTTPError as error:
            problem = f"it answered {error.code}"
            error.close()
            if error.code < 500 and error.code not in AGAIN:
                return Delivery(host, number, problem)
        except (OSError, HTTPException, ValueError) as error:
            problem = str(getattr(error, "reason", "") or type(error).__name__)
        if number < TRIES:
            pause(PAUSES[number - 1])
    return Delivery(host, TRIES, problem)
