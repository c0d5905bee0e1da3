"""The KftError family: every message says where, what was received, what was expected, what to do next.

Errors are part of the product. The command line prints them without a traceback (``--debug`` shows it) and
exits with ``exit_code``; Python users catch them as ordinary exceptions.
"""

from __future__ import annotations

from kft.characters import acting_in, visible


class KftError(Exception):
    """Base of every error that kft raises on purpose.

    Args:
        problem: One sentence that says what is wrong.
        where: File and line, recipe key, row or folder.
        received: What was found there.
        expected: What would have been right.
        next_step: The command or change to try next.

    Example:
        >>> print(KftError("no such column", where="tickets.csv", received="'txt'", expected="'text'"))
        no such column
          where:    tickets.csv
          received: 'txt'
          expected: 'text'
    """

    exit_code = 2

    def __init__(
        self,
        problem: str,
        *,
        where: str | None = None,
        received: str | None = None,
        expected: str | None = None,
        next_step: str | None = None,
    ) -> None:
        self.problem = problem
        self.where = where
        self.received = received
        self.expected = expected
        self.next_step = next_step
        super().__init__(problem)

    def __str__(self) -> str:
        rows = (
            ("where", self.where),
            ("received", self.received),
            ("expected", self.expected),
            ("next", self.next_step),
        )
        # A value of several lines is set in, so that none of them passes for a line of ours.
        details = [f"  {name + ':':<9} {str(value).replace(_NEW_LINE, _SET_IN)}" for name, value in rows if value]
        return visible("\n".join([self.problem, *details]), lines=True)


_NEW_LINE, _SET_IN = "\n", "\n" + " " * 12


class UsageError(KftError):
    """A command, option or function was called in a way that cannot work."""


class RecipeError(KftError):
    """The recipe is not valid; the message lists everything that is wrong at once."""


class SuiteError(KftError):
    """The suite of edge cases is not valid, or does not fit the model; lists everything that is wrong at once."""


class DataError(KftError):
    """The labelled data cannot be used as it is."""


class ModelError(KftError):
    """A backbone, a freeze rule or a head does not fit."""


class RunError(KftError):
    """A run folder is missing, taken, incomplete or belongs to another recipe."""


class GateError(KftError):
    """A gate says no: what is to be shipped is not what was asked for, or cannot be trusted."""

    exit_code = 1


class ParityError(KftError):
    """What would ship does not answer as what was evaluated."""

    exit_code = 3


class AssetError(KftError):
    """Weights or data could not be fetched, or are not what was pinned."""

    exit_code = 3


class StorageError(KftError):
    """The disk is full or a folder cannot be written."""

    exit_code = 3


class TrainingError(KftError):
    """Training cannot go on: a loss that is not finite, a frozen weight that moved."""

    exit_code = 3


def require_plain(text: str, where: str, error: type[KftError], *, allowed: str = "") -> str:
    """Returns a name, a path or an argument that holds no character that acts.

    Args:
        text: What was named.
        where: The option or key that names it.
        error: The kind of error.
        allowed: Characters that may stand there nevertheless.

    Raises:
        KftError: It holds one; of the kind ``error``.
    """
    found = acting_in(text, allowed)
    if not found:
        return text
    raise error(
        "control characters are refused in names, paths and arguments",
        where=where,
        received=f"{visible(text)} (with {found})",
        expected="characters that can be seen",
        next_step="rename it, or write it again",
    )
