"""What the server takes at most, and how it says no: a status, a reason, and when to try again."""

from __future__ import annotations

from dataclasses import dataclass

CHARACTERS_A_TOKEN = 16
"""A text of more characters a permitted token is refused without counting its tokens, which would take long."""


@dataclass(frozen=True)
class Limits:
    """What one server takes at most.

    Attributes:
        body_bytes: Of one request's body.
        inputs: Of one request.
        tokens: Of one text.
        seconds: From a request's first byte to its answer.
        queue: Inputs that wait for one model.
        target_seconds: How long an answer should take at most: batches are cut to it, and what would wait longer is
            refused at once.
        batch: Inputs that are computed at a time; 1 computes each request's inputs one by one.
        requests: That are read or answered at a time, over all models.
        held_bytes: Of all bodies that are held at a time.
    """

    body_bytes: int = 16 * 2**20
    inputs: int = 256
    tokens: int = 8192
    seconds: float = 30.0
    queue: int = 1024
    target_seconds: float = 0.5
    batch: int = 32
    requests: int = 512
    held_bytes: int = 256 * 2**20


class Refused(Exception):
    """A request that is not answered.

    Args:
        status: The HTTP status.
        reason: What is wrong, for the person who sent it; nothing of the request's own contents.
        retry_after: After how many seconds the same request may be answered; None where it never will.
        kind: One word of a fixed few, for the metrics.
        param: The key that is wrong; told by /v1.
        code: What is wrong, in a word that clients know; likewise.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        *,
        kind: str,
        retry_after: float | None = None,
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.param, self.code = param, code
        self.status = status
        self.reason = reason
        self.kind = kind
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """Those of the answer: whole seconds, at least one."""
        return {} if self.retry_after is None else {"Retry-After": str(max(1, round(self.retry_after + 0.5)))}


def wrong(reason: str) -> Refused:
    """Returns the refusal of a request whose content is not what was asked for."""
    return Refused(422, reason, kind="invalid")


def too_large(reason: str) -> Refused:
    """Returns the refusal of a request that is larger than the server takes."""
    return Refused(413, reason, kind="too-large")


def busy(reason: str, seconds: float) -> Refused:
    """Returns the refusal of a request that would wait too long."""
    return Refused(429, reason, kind="busy", retry_after=seconds)


def unavailable(reason: str, seconds: float = 1.0, *, kind: str = "unavailable") -> Refused:
    """Returns the refusal of a request that the server cannot answer now."""
    return Refused(503, reason, kind=kind, retry_after=seconds)
