"""Edge cases of written answers: the right one, the same as before a change, or none from passages that say nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kft.answer.prompted import NOT_FOUND, answer_prompts
from kft.answer.write import make_writer
from kft.metrics.language import right_answers, spoken
from kft.recipe.schema import NO_TURN, ONE_TURN
from kft.suites.cases import Case
from kft.tasks.dialogues import as_question
from kft.tasks.responses import Grounded, ResponsePrediction

if TYPE_CHECKING:
    from kft.answer.artifact import Artifact

ABSTAINS = "(abstains)"
ROWS = 16
"""Prompts that are answered at a time."""


def write_answers(artifact: Artifact, inputs: Sequence[Any]) -> list[ResponsePrediction]:
    """Returns what a model writes to prompts, with passages or without; of chats each is a user's one turn."""
    writer, grounded = make_writer(artifact, min(ROWS, len(inputs))), artifact.spec.data.grounded
    asked = [each if isinstance(each, Grounded) else Grounded(str(each)) for each in inputs]
    if writer.reader.turns not in (ONE_TURN, NO_TURN):
        asked = [Grounded(as_question(each.prompt)) for each in asked]
    return answer_prompts(writer, asked, [NOT_FOUND if grounded and not each.passages else "" for each in asked])


def judge_written(
    case: Case, before: ResponsePrediction, after: ResponsePrediction, right: str
) -> tuple[bool, str, str]:
    """Returns whether an answer is as expected, what was, and what came, in words.

    Args:
        case: The case.
        before: The answer before the change; of ``must_pass`` the same.
        after: The answer that is judged.
        right: Which are right: see ``kft.metrics.language.right_answers``.
    """
    received = f"{after.text} {ABSTAINS}".strip() if after.abstain else after.text
    if case.check.kind == "directional":
        return _judge_declining(before, after, received)
    if case.check.kind == "invariance":
        return _same(before.text, after.text, right), before.text, after.text
    said = any(_same(label, after.text, right) for label in case.labels)
    passed, wanted = case.judge(said, after.abstain, after.confidence or 0.0)
    return passed, wanted, received


def _judge_declining(before: ResponsePrediction, after: ResponsePrediction, received: str) -> tuple[bool, str, str]:
    """From passages that do not answer: nothing, or what is seen to come from elsewhere."""
    was, now = (0.0 if each.support is None else each.support.share for each in (before, after))
    silent = not after.text.strip() or (after.support is not None and not after.support.found)
    expected = f"to abstain, to say nothing, or over {was:.2f} of it in no passage"
    return after.abstain or silent or now > was, expected, f"{received} ({now:.2f} of it in no passage)"


def _same(truth: str, said: str, right: str) -> bool:
    return bool(right_answers(right, [truth], spoken([said]))[0])
