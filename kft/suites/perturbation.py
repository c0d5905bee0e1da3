"""What is done to an input of an edge case: one small function each, in a registry that suites name them by."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kft.registry import Registry
from kft.tasks.inputs import InputKind

TextChange = Callable[[str, np.random.Generator, str], str]
ImageChange = Callable[[Any, np.random.Generator, str], Any]
EXCHANGE = "exchange-context"
"""The change after which a prompt's passages do not answer it."""


@dataclass(frozen=True)
class Perturbation:
    """A change to an input.

    Attributes:
        name: As in ``changes`` of a suite.
        about: What it does, for people.
        modality: What it changes; texts of pairs as well, and prompts.
        change: (input, random numbers, the suite's ``text``) to the changed input; pure. A text, or a PIL image in RGB;
            of passages a ``Grounded`` prompt, with the passages of all cases in place of the ``text``.
            An input in which there is nothing to change comes back as it is.
        takes_text: Whether it needs the suite's ``text``.
        keeps: Where a text's characters are afterwards, for answers that name places: ``places``, each where it was as
            long as the text is; ``start``, the text first and something behind it; ``end``, the text last. None where
            nothing can be said.
    """

    name: str
    about: str
    modality: Literal["text", "image", "passages"]
    change: Callable[[Any, np.random.Generator, Any], Any]
    takes_text: bool = False
    keeps: Literal["places", "start", "end"] | None = None

    def fits(self, kind: InputKind) -> bool:
        return kind.medium == self.modality or (kind.grounded and self.modality == "passages")

    def shift(self, before: str, after: str) -> int | None:
        """Returns by how many characters the text has moved; None where its characters cannot be followed.

        Example:
            >>> polite = Perturbation("polite", "", "text", lambda text, rng, given: text, keeps="end")
            >>> polite.shift("It broke.", "Hello, It broke."), polite.shift("It broke.", "It snapped.")
            (7, None)
        """
        if self.keeps == "places" and len(before) == len(after) and _stay(before) and _stay(after):
            return 0
        if self.keeps == "start" and after.startswith(before.rstrip().rstrip(".!?")):
            return 0
        if self.keeps == "end" and after.endswith(before.lstrip()):
            return len(after) - len(before)
        return None


def _stay(text: str) -> bool:
    """Whether each character stays one character without its accent, and in capitals and small letters."""

    def bare(mark: str) -> str:
        parts = unicodedata.normalize("NFKD", mark)
        return unicodedata.normalize("NFC", "".join(part for part in parts if not unicodedata.combining(part)))

    return all(len(bare(mark)) == len(mark.upper()) == len(mark.lower()) == 1 for mark in set(text))


PERTURBATIONS: Registry[Perturbation] = Registry("change", next_step="docs/evaluation.md lists them")


def register_perturbation(perturbation: Perturbation) -> Perturbation:
    """Adds a change under its name: suites may name it from now on.

    Raises:
        ValueError: The name is taken.
    """
    return PERTURBATIONS.register(perturbation.name, perturbation)
