"""`kft predict` of a run that writes: an answer to each prompt, from passages where it was trained with some."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kft.answer.artifact import Artifact
from kft.answer.load import Run
from kft.answer.prompted import NOT_FOUND, answer_prompts
from kft.answer.write import make_writer
from kft.api.grounding import find_passages, index_of
from kft.errors import UsageError
from kft.search.index import open_index
from kft.tasks.responses import Grounded
from kft.tasks.task import Answer

ROWS = 16
"""Prompts that are answered at a time."""


def written_by(run: Run, artifact: Artifact) -> Callable[[Sequence[Any]], list[Answer]]:
    """Returns what answers prompts, the likeliest token each time; the model is traced once.

    It takes prompts; of a run that answers from a column of passages ``Grounded`` ones, and refuses others.

    Args:
        run: What it was trained with.
        artifact: Its model.

    Raises:
        RunError: The index that it was trained with is gone.
    """
    data = run.recipe.spec.data
    folder, writer = index_of(run.recipe), make_writer(artifact, ROWS)
    index = None if folder is None else open_index(folder)

    def found_for(given: Any) -> tuple[Grounded, str]:
        """What is asked, with its passages; and why it is not answered, where it is not."""
        if isinstance(given, Grounded):
            return given, "" if given.passages else NOT_FOUND
        if data.context is not None:
            raise UsageError(
                "this run answers from passages, and a prompt alone has none",
                where=str(run.folder.path),
                received=f"data.context: {data.context}",
                expected=f"a table of prompts with a column {data.context!r}",
                next_step=f"kft generate {run.folder.path} PROMPT --context TEXT",
            )
        prompt = str(given)
        if index is None:
            return Grounded(prompt), ""
        found, good = find_passages(index, prompt, data.passages)
        return Grounded(prompt, tuple(each.text for each in found.results)), "" if good else NOT_FOUND

    def answers(inputs: Sequence[Any]) -> list[Answer]:
        asked = [found_for(each) for each in inputs]
        return list(answer_prompts(writer, [prompt for prompt, _ in asked], [why for _, why in asked]))

    return answers
