"""The gate that every request goes through: who asks, how much is let in, how long it takes, what is noted."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kft.serve.limits import Limits, Refused, too_large, unavailable
from kft.serve.measures import Measures
from kft.serve.reading import JSON, dump

OPEN = ("/", "/docs", "/openapi.json", "/v2/health/live", "/v2/health/ready")
"""What is answered without a token: it says nothing of the models. Probes and browsers cannot send one."""
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
DRAINED_BYTES, DRAIN_SECONDS = 64 * 2**20, 5.0
"""What is read and thrown away of a refused body, so that its sender gets to read the reason."""
NOT_DRAINED = ("token", "host")
"""Kinds of refusals after which nothing more is read: their senders are strangers."""


@dataclass(frozen=True)
class Log:
    """What is noted of requests.

    Attributes:
        to: Takes a line.
        requests: Whether each request is noted; what is unexpected always is.
        contents: Whether inputs and answers are noted too.
    """

    to: Callable[[str], None]
    requests: bool = True
    contents: bool = False

    def write(self, line: str) -> None:
        """Notes a line; where the disk is full it is lost, and answers and what follows an alias go on."""
        with suppress(OSError):
            self.to(line)


@dataclass(frozen=True)
class Access:
    """Who may ask.

    Attributes:
        token: What a bearer has to show; empty: nobody has to show one.
        local: Whether only names of this machine are answered, so that no web page reaches the server under a name of
            its own (DNS rebinding).
    """

    token: str = ""
    local: bool = True

    def require(self, path: str, headers: dict[bytes, bytes]) -> None:
        """Lets a request in.

        Raises:
            Refused: The token is missing or wrong (401), or the host is another (421).
        """
        host = headers.get(b"host", b"").decode("latin-1")
        if self.local and not self.token and _without_port(host) not in LOOPBACK_NAMES:
            raise Refused(421, "without a token only localhost is answered", kind="host")
        if not self.token or path in OPEN:
            return
        scheme, _, shown = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(shown.strip(), self.token.encode()):
            raise Refused(401, "a bearer token is needed: Authorization: Bearer TOKEN", kind="token")


def _without_port(host: str) -> str:
    """Returns a host without its port.

    Example:
        >>> _without_port("[::1]:8000"), _without_port("localhost")
        ('[::1]', 'localhost')
    """
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() else host).lower()


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine only.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0"), is_loopback("localhost")
        (True, False, True)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class Guard:
    """An ASGI application around another one.

    Args:
        app: What answers.
        limits: Of the server.
        access: Who may ask.
        measures: Where requests are counted.
        log: Where requests are noted.
    """

    def __init__(self, app: ASGIApp, limits: Limits, access: Access, measures: Measures, log: Log) -> None:
        self._app = app
        self._limits = limits
        self._access = access
        self._measures = measures
        self._log = log
        self._requests = 0
        self._held = 0
        measures.follow_load(lambda: self._requests, lambda: self._held)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, or passes on what is none."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        visit = Visit(scope, receive, send, self._limits)
        self._requests += 1
        try:
            await self._answer(visit)
        finally:
            self._requests -= 1
            self._held -= visit.bytes
            self._note(visit)

    async def _answer(self, visit: Visit) -> None:
        try:
            self._access.require(visit.scope["path"], visit.headers)
            self._let_in(visit)
            await self._app(visit.scope, self._counted(visit), visit.send)
        except Refused as refused:
            response = await refusal(visit, refused)
            await response(visit.scope, visit.receive, visit.send)
        except Exception as error:  # the application has said so to the client
            # Neither the message nor a traceback: both may hold what was asked.
            visit.error = f"{type(error).__name__} in {_place(error)}"

    def _let_in(self, visit: Visit) -> None:
        limits, declared = self._limits, visit.headers.get(b"content-length", b"0")
        length = int(declared) if declared.isdigit() else 0
        if length > limits.body_bytes:
            raise too_large(f"the body has {length:,} bytes; at most {limits.body_bytes:,}")
        if visit.scope["method"] != "POST":
            return
        if self._requests > limits.requests:
            raise unavailable(f"{limits.requests:,} requests are being answered", kind="requests")
        if self._held + length > limits.held_bytes:
            raise unavailable(f"the bodies of other requests fill {limits.held_bytes:,} bytes", kind="memory")

    def _counted(self, visit: Visit) -> Receive:
        """Returns a ``receive`` that ends a body that is too large, or too slow."""

        async def receive() -> Message:
            if visit.whole:  # what comes now is that the client went away
                return await visit.receive()
            try:
                async with asyncio.timeout(visit.seconds_left()):
                    message = await visit.receive()
            except TimeoutError:
                raise Refused(408, "the body did not come in time", kind="time") from None
            if message["type"] == "http.request":
                size = len(message.get("body", b""))
                visit.bytes += size
                self._held += size
                visit.whole = not message.get("more_body", False)
                if visit.bytes > self._limits.body_bytes:
                    raise too_large(f"the body has more than {self._limits.body_bytes:,} bytes")
                if self._held > self._limits.held_bytes:
                    raise unavailable(f"bodies fill {self._limits.held_bytes:,} bytes", kind="memory")
            return message

        return receive

    def _note(self, visit: Visit) -> None:
        seconds = time.monotonic() - visit.started
        self._measures.request(visit.endpoint, visit.status, seconds)
        if visit.refused:
            self._measures.refused(visit.refused)
        if not self._log.requests and not visit.error:
            return
        line = {"at": round(time.time(), 3), "endpoint": visit.endpoint, "status": visit.status}
        line |= {"ms": round(1000 * seconds, 1)} | visit.noted | ({"error": visit.error} if visit.error else {})
        self._log.write(json.dumps(line))


class Visit:
    """One request: what came, what became of it, and what is noted of that."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limits: Limits) -> None:
        self.started = time.monotonic()
        self.until = self.started + limits.seconds
        self.scope = scope
        self.receive = receive
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.noted: dict[str, Any] = {}
        self.status = 499  # the client went away before there was one
        self.bytes = 0
        self.whole = False
        self.refused = ""
        self.error = ""
        self._send = send
        scope.setdefault("state", {})["visit"] = self

    @property
    def endpoint(self) -> str:
        """What the request is counted under: never the path itself, which a client chooses."""
        path = self.scope["path"]
        if path in ("/", "/docs", "/openapi.json"):
            return "page"
        if path.startswith("/v2/models/") and path.endswith("/infer"):
            return "infer"
        names = {"/predict": "predict", "/metrics": "metrics", "/models": "models", "/v2": "models"}
        names |= {"/v1/chat/completions": "chat", "/v1/completions": "completions", "/v1/models": "models"}
        starts = {"/v2/health/": "health", "/v2/models/": "models"}
        found = next((name for start, name in starts.items() if path.startswith(start)), "other")
        return names.get(path, found)

    def seconds_left(self) -> float:
        return max(0.0, self.until - time.monotonic())

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


async def refusal(visit: Visit, refused: Refused) -> Response:
    """Returns the answer to a request that is refused, once its body is out of the way."""
    visit.refused = refused.kind
    if refused.kind not in NOT_DRAINED:
        await _drain(visit)
    headers = dict(refused.headers)
    if refused.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if not visit.whole:
        headers["Connection"] = "close"
    told: Any = refused.reason
    if visit.scope["path"].startswith("/v1/"):  # as OpenAI's clients read it
        kinds = {401: "authentication_error", 429: "rate_limit_error"}
        usual = "server_error" if refused.status >= 500 else "invalid_request_error"
        kind = kinds.get(refused.status, usual)
        told = {"message": refused.reason, "type": kind, "param": refused.param, "code": refused.code}
    return Response(dump({"error": told}), refused.status, headers, JSON)


async def _drain(visit: Visit) -> None:
    """Reads the rest of a body and keeps nothing of it; gives up where that is long."""
    read = 0
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            while not visit.whole and read < DRAINED_BYTES:
                message = await visit.receive()
                if message["type"] != "http.request":
                    return
                read += len(message.get("body", b""))
                visit.whole = not message.get("more_body", False)
    except TimeoutError:
        return


def _place(error: Exception) -> str:
    """Returns where an error was raised: file and line, and nothing of what was said."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "an unknown place"
