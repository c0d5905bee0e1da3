"""cleaned.json: that `kft clean` has removed what a run would go on from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cleaned:
    """That an ended run can no more be gone on with.

    Attributes:
        at: When, in ISO 8601.
    """

    at: str
