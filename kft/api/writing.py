"""`kft predict` of a run that writes: an answer to each prompt, with passages where it was trained with an index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kft.answer.artifact import Artifact
from kft.answer.load import Run
from kft.answer.write import make_writer
from kft.api.grounding import find_passages, index_of
from kft.errors import UsageError
from kft.search.index import open_index
from kft.tasks.responses import Grounded, ResponsePrediction
from kft.tasks.task import Answer

ROWS = 16
"""Prompts that are answered at a time."""
NOT_FOUND = "no passage is good"


def written_by(run: Run, artifact: Artifact) -> Callable[[Sequence[Any]], list[Answer]]:
    """Returns what answers prompts, the likeliest token each time; the model is traced once.

    Args:
        run: What it was trained with.
        artifact: Its model.

    Raises:
        UsageError: It answers from a column of passages, which a prompt alone does not have.
        RunError: The index that it was trained with is gone.
    """
    data = run.recipe.spec.data
    if data.context is not None:
        raise UsageError(
            "this run answers from passages, and a prompt alone has none",
            where=str(run.folder.path),
            received=f"data.context: {data.context}",
            expected="a run without passages, or one with data.index",
            next_step=f"kft generate {run.folder.path} PROMPT --context TEXT",
        )
    folder, writer = index_of(run.recipe), make_writer(artifact, ROWS)
    index = None if folder is None else open_index(folder)

    def answers(inputs: Sequence[Any]) -> list[Answer]:
        prompts, why = [Grounded(str(each)) for each in inputs], [""] * len(inputs)
        for row, asked in enumerate(prompts if index is not None else ()):
            assert index is not None
            found, good = find_passages(index, asked.prompt, data.passages)
            prompts[row] = Grounded(asked.prompt, tuple(each.text for each in found.results))
            why[row] = "" if good else NOT_FOUND
        wanted = [row for row, reason in enumerate(why) if not reason]
        texts, _ = writer.reader.composed([prompts[row] for row in wanted])
        said = dict(zip(wanted, writer.write(texts), strict=True))
        return [
            ResponsePrediction("", True, reason) if reason else ResponsePrediction(said[row].text)
            for row, reason in enumerate(why)
        ]

    return answers
