"""Answers to prompts as a person reads them: written, judged by the rule, held to their passages."""

from __future__ import annotations

from collections.abc import Sequence

from kft.answer.write import Completion, Writer
from kft.tasks.responses import Grounded, ResponsePrediction

NOT_FOUND = "no passage is good"


def answer_prompts(writer: Writer, asked: Sequence[Grounded], why: Sequence[str]) -> list[ResponsePrediction]:
    """Returns one answer a prompt.

    Args:
        writer: Of several prompts at a time.
        asked: Prompts, each with its passages.
        why: Why one is not answered; empty where it is.
    """
    wanted = [row for row, reason in enumerate(why) if not reason]
    texts, kept = writer.reader.composed([asked[row] for row in wanted])
    said = dict(zip(wanted, zip(writer.write(texts), kept, strict=True), strict=True))
    return [
        _given(*said[row], prompt) if row in said else ResponsePrediction("", None, True, (), reason)
        for row, (prompt, reason) in enumerate(zip(asked, why, strict=True))
    ]


def _given(written: Completion, kept: Sequence[int], asked: Grounded) -> ResponsePrediction:
    support = asked.supports(written.text, kept) if asked.passages else None
    unsupported = None if support is None else support.unsupported
    return ResponsePrediction(written.text, written.confidence, written.abstain, unsupported, written.why, support)
