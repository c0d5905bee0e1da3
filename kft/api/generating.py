"""`kft generate`: what a run of causal-lm writes to a prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kft import strategy
from kft.answer.write import GREEDY, Completion, SamplingParams, Writer
from kft.data.inputs import as_inputs
from kft.deploy.writing import Prompt, as_read, open_writing
from kft.recipe.schema import DataSpec
from kft.tasks.task import Task


@dataclass(frozen=True, eq=False)
class Generator:
    """A run that is loaded and traced: it writes at once, as often as it is asked.

    Attributes:
        writer: Of one prompt at a time.
        task: What it was tuned to.
        spec: The data part of its recipe: prompts are cleaned as those that it learned from.
        index: Where its passages came from in training; None where they came from no index.
    """

    writer: Writer
    task: Task
    spec: DataSpec
    index: Path | None = None

    @property
    def declines(self) -> bool:
        """Whether there are answers that it withholds, because it is not sure enough of them."""
        return self.writer.rule is not None and bool(self.writer.rule.threshold)

    def cleaned(self, prompt: str) -> str:
        """Returns a prompt as those that were learned from.

        Raises:
            DataError: It is empty.
        """
        (found,) = as_inputs(prompt, self.task, self.spec)
        return str(found)

    def write(self, prompts: str | Sequence[Prompt], asking: SamplingParams = GREEDY) -> list[Completion]:
        """Returns one answer a prompt, in their order.

        Raises:
            DataError: A prompt is empty, or is no chat that waits for an answer.
            UsageError: It is a chat, and the run was tuned on prompts.
        """
        several = [prompts] if isinstance(prompts, str) else list(prompts)
        return self.writer.write([self._read(each) for each in several], asking)

    def stream(self, prompt: Prompt, asking: SamplingParams = GREEDY) -> Iterator[str | Completion]:
        """Yields the pieces of an answer as they are written, and then the answer."""
        yield from self.writer.stream(self._read(prompt), asking)

    def _read(self, prompt: Prompt) -> str:
        """Returns a prompt as the model reads it: of a run that was tuned on chats it is one, of a user's one turn."""
        return as_read(self.writer.reader, self.cleaned(prompt) if isinstance(prompt, str) else prompt)


def load_generator(run: str | Path) -> Generator:
    """Loads a run's best checkpoint, or what was exported of one, to write many answers; nothing is traced again.

    Args:
        run: The run folder, or that of an artifact.

    Raises:
        RunError: The folder is neither.
        UsageError: It is of a task that writes no texts.
        ModelError: The backbone on disk is not the one the run was trained from.
    """
    from kft.api.grounding import index_of  # it brings what searches

    with strategy.start("one").scope():
        opened = open_writing(run)
    index = None if opened.recipe is None else index_of(opened.recipe)
    return Generator(opened.writer, opened.task, opened.spec.data, index)


def generate(
    run: str | Path,
    prompts: str | Sequence[Prompt],
    *,
    max_tokens: int | None = None,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    stop: str | Sequence[str] = (),
) -> list[Completion]:
    """Writes answers with a run's best checkpoint, loaded for this once; ``load_generator`` keeps it.

    Args:
        run: The run folder, or an artifact that was exported of one.
        prompts: One prompt, or several; each a text or, of a run that was tuned on chats, a list of messages.
        max_tokens: Of an answer, at most; default and limit: what responses had room for in training.
        temperature: 0 takes the likeliest token each time; else one is drawn, by logits divided by it.
        top_p: Only of the likeliest tokens that have this share together.
        seed: Of the draws: the same prompt in the same place gets the same answer.
        stop: A text at which an answer ends, or several; they are not part of it.

    Raises:
        KftError: One of its kinds, for a run, a prompt or a setting that does not fit.

    Example:
        >>> import kft
        >>> kft.generate("runs/extraction-1", "open() fails with EACCES.")[0].text  # doctest: +SKIP
        '{"function": ["open"], "constant": ["EACCES"]}'
    """
    asking = SamplingParams(max_tokens, temperature, top_p, seed, stop)
    return load_generator(run).write(prompts, asking)
