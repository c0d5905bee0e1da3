"""What speaks for or against a model, and what it comes to: the answer to a question."""

from __future__ import annotations

from dataclasses import dataclass

GOOD, WARNING, ERROR, MISSING = "good", "warning", "error", "missing"


@dataclass(frozen=True)
class Evidence:
    """One thing that speaks for or against.

    Attributes:
        text: A sentence with the figures, without a full stop.
        tone: ``good``, ``warning``, ``error``, or ``missing`` where nobody looked.
        anchor: The section of the page that shows it.
    """

    text: str
    tone: str
    anchor: str = ""


@dataclass(frozen=True)
class Question:
    """One of the four.

    Attributes:
        name: Its anchor.
        title: As it is asked.
        evidence: What speaks for and against, in the order of the page.
        no: How an answer begins that an error speaks against.
    """

    name: str
    title: str
    evidence: tuple[Evidence, ...]
    no: str = "Not as it is"

    @property
    def tone(self) -> str:
        """The worst of the evidence; what is missing weighs less than what warns."""
        return next(
            (tone for tone in (ERROR, WARNING, MISSING) if any(each.tone == tone for each in self.evidence)), GOOD
        )

    @property
    def answer(self) -> str:
        """The answer in words: what is wrong first, else what is missing."""
        worst = [each.text for each in self.evidence if each.tone == self.tone]
        more = f" (and {len(worst) - 1} more)" if len(worst) > 1 else ""
        return {
            ERROR: f"{self.no}: {worst[0]}{more}.",
            WARNING: f"Mostly, but: {worst[0]}{more}.",
            MISSING: f"Yes, as far as was checked; missing: {worst[0]}{more}.",
            GOOD: f"Yes: {worst[0]}.",
        }[self.tone]
