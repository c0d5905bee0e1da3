"""Examples as a page shows them: found by their id, shortened, small, and masked where they hold personal data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kft.audit.view import AuditView
from kft.records.findings import Finding
from kft.report.html import Thumbnails, shorten

PERSONAL = "personal-data"
"""The check whose rows are never shown as they are."""
MASKED = "masked"
"""The key of its details that holds, along its rows, each text with what is personal masked."""


@dataclass(frozen=True)
class ShownExample:
    """One example.

    Attributes:
        id: Its id.
        split: ``train``, ``valid`` or ``test``; empty for a row that could not be used.
        texts: The text, or the two texts of a pair; empty for images.
        image: A thumbnail as a data URI; None for texts, and where there is none.
        label: As text.
    """

    id: str
    split: str = ""
    texts: tuple[str, ...] = ()
    image: str | None = None
    label: str = ""


class ExampleIndex:
    """Finds examples by id.

    Args:
        view: The data.
        findings: Those on personal data say which texts are shown masked, wherever they appear.
        thumbnails: Draws images; None shows none.
    """

    def __init__(self, view: AuditView, findings: Sequence[Finding], thumbnails: Thumbnails | None = None) -> None:
        self.view = view
        self.thumbnails = thumbnails
        self._masked: dict[str, str] = {}
        for finding in (each for each in findings if each.check == PERSONAL):
            texts = finding.details.get(MASKED, ())
            shown = texts if len(texts) == len(finding.rows) else ["(not shown)"] * len(finding.rows)
            for identifier, text in zip(finding.rows, shown, strict=True):
                known = self._masked.get(identifier)
                self._masked[identifier] = f"{known}; {text}" if known else text

    def __contains__(self, identifier: object) -> bool:
        return identifier in self.view.places

    def label(self, identifier: str) -> str:
        """Returns the label of an example as text; empty where there is none."""
        place = self.view.places.get(identifier)
        labels = self.view.all.labels
        return "" if place is None or labels is None else self.view.task.kind.labels.written(labels[place])

    def show(self, identifier: str, most: int = 280) -> ShownExample:
        """Returns the example with this id; the id alone where there is none, as for a row that cannot be used.

        Args:
            identifier: Its id.
            most: Characters of a text.
        """
        place = self.view.places.get(identifier)
        if place is None:
            return ShownExample(identifier)
        given = self.view.all.inputs[place]
        texts: tuple[str, ...] = ()
        image = None
        if isinstance(given, Path):
            image = self.thumbnails.of(given) if self.thumbnails else None
        else:
            texts = (given,) if isinstance(given, str) else tuple(given)
            texts = (self._masked[identifier],) if identifier in self._masked else texts
        return ShownExample(
            id=identifier,
            split=str(self.view.split_of[place]),
            texts=tuple(shorten(text, most) for text in texts),
            image=image,
            label=shorten(self.label(identifier), 60),
        )
