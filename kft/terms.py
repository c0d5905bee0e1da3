"""Terms of use that a person has to accept once before weights under them are used.

Who has accepted what stands in the cache, one small file a name; a job that has no cache of its own says it by a
variable.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from kft.errors import UsageError
from kft.records.files import utc_now, write_file
from kft.registry import Registry

VARIABLE = "KFT_ACCEPT_TERMS"
"""Names of terms that are accepted, with commas between them: for containers and jobs."""


@dataclass(frozen=True)
class Terms:
    """Terms of use.

    Attributes:
        name: What ``--accept-terms`` takes.
        title: For people.
        url: Where they can be read.
        about: What they ask, in one sentence.
    """

    name: str
    title: str
    url: str
    about: str


TERMS: Registry[Terms] = Registry("terms")
TERMS.register(
    "gemma",
    Terms(
        name="gemma",
        title="Gemma Terms of Use",
        url="https://ai.google.dev/gemma/terms",
        about="they forbid some uses, and who passes the weights or a tuned model on must pass the terms on",
    ),
)


def accept(name: str, cache: Path) -> Terms:
    """Notes that a person accepts terms, for every later command that uses this cache.

    Args:
        name: Of the terms.
        cache: The folder of everything that kft keeps.

    Returns:
        What was accepted.

    Raises:
        UsageError: There are no such terms.
        StorageError: The cache cannot be written.
    """
    terms = TERMS.get(name)
    note = {"name": name, "url": terms.url, "accepted": utc_now()}
    write_file(_note(name, cache), json.dumps(note, indent=2) + "\n", elsewhere="set KFT_CACHE to a folder of your own")
    return terms


def are_accepted(name: str, cache: Path) -> bool:
    """Whether terms were accepted, in this cache or by the variable."""
    return name in os.environ.get(VARIABLE, "").replace(" ", "").split(",") or _note(name, cache).is_file()


def require(name: str, cache: Path, what: str) -> None:
    """Refuses what comes under terms that nobody has accepted here.

    Args:
        name: Of the terms.
        cache: As for ``accept``.
        what: That comes under them.

    Raises:
        UsageError: Names where they can be read, and the command that accepts them.
    """
    if are_accepted(name, cache):
        return
    terms = TERMS.get(name)
    raise UsageError(
        f"{what} comes under the {terms.title}, which were not accepted here yet: {terms.url}",
        expected=f"that you have read them: {terms.about}",
        next_step=f"the same command with --accept-terms {name}, once; in Python kft.accept_terms({name!r}); in a job "
        f"{VARIABLE}={name}",
    )


def _note(name: str, cache: Path) -> Path:
    return cache / "terms" / f"{name}.json"
