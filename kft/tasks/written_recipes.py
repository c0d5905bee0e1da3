"""What a recipe for a language model asks that does not go together: chats, plain texts, gates, promises."""

from __future__ import annotations

from collections.abc import Iterable

from kft.metrics.language import OF_CONTEXT
from kft.recipe.evaluation import SAME
from kft.recipe.explain import Misfit
from kft.recipe.schema import CHAT_TEMPLATES, NO_TURN, ONE_TURN, PLAIN_TEMPLATE, RecipeSpec
from kft.tasks.registry import TASKS
from kft.tasks.responses import PERPLEXITY_RATIO
from kft.tasks.task import OTHERS, Task

PROMPTED = (
    *(("data", key) for key in ("text", "label", "messages", "context", "index")),
    ("model", "template"),
    ("model", "response_tokens"),
)
"""Keys that say something of prompts and their responses."""


def find_unwritten(spec: RecipeSpec, task: Task) -> Iterable[Misfit]:
    """Yields what a task that writes cannot obey of a recipe, and what is only for one that does."""
    yield from _gates(spec, task)
    yield from _chats(spec)
    yield from _chosen(spec)
    yield from _hidden(spec, task)
    yield from _promised(spec, task)


def _gates(spec: RecipeSpec, task: Task) -> Iterable[Misfit]:
    """Yields gates on what is not measured."""
    for gate in sorted(spec.evaluate.gates):
        if not spec.evaluate.write and (gate in task.kind.judging.written or gate.startswith("selective.")):
            yield ("evaluate", "gates", gate), "needs evaluate.write: true"
        elif gate in OF_CONTEXT and task.kind.writes and not spec.data.grounded:
            yield ("evaluate", "gates", gate), "needs passages that answers come from: data.context or data.index"
        elif gate == PERPLEXITY_RATIO and (spec.evaluate.retain.data == "none" or spec.model.weights == "random"):
            yield ("evaluate", "gates", gate), "nothing is measured with evaluate.retain: none, or with random weights"


def _chats(spec: RecipeSpec) -> Iterable[Misfit]:
    """Yields what chats do not go with."""
    if spec.data.texts is not None:
        for part, key in PROMPTED:
            if getattr(getattr(spec, part), key) not in (None, PLAIN_TEMPLATE):
                yield (part, key), "data.texts holds texts without prompts: leave one of the two out"
        if spec.model.turns not in (ONE_TURN, NO_TURN):
            yield ("model", "turns"), "data.texts holds texts without turns: leave it out"
    elif spec.data.messages is not None:
        if spec.model.turns == NO_TURN:
            yield ("model", "turns"), "text is for data.texts, and data.messages holds chats"
        for key in ("text", "label"):
            if getattr(spec.data, key) is not None:
                yield ("data", key), "data.messages holds prompts and responses already: leave one of the two out"
        for key in ("context", "index"):
            if getattr(spec.data, key) is not None:
                yield ("data", key), "passages are put before a prompt, not into a chat of data.messages"
        if spec.model.template not in (PLAIN_TEMPLATE, *CHAT_TEMPLATES):
            yield ("model", "template"), "data.messages wants a chat template: " + ", ".join(CHAT_TEMPLATES)
    elif spec.model.turns != ONE_TURN:
        yield ("model", "turns"), "a prompt and its response are one turn: needs data.messages or data.texts"


def _chosen(spec: RecipeSpec) -> Iterable[Misfit]:
    """Yields where there is no one response that could be a choice."""
    if spec.model.choices and (spec.data.messages or spec.data.texts):
        yield ("model", "choices"), "needs a prompt and a response: data.text and data.label, not chats or plain texts"


def _hidden(spec: RecipeSpec, task: Task) -> Iterable[Misfit]:
    """Yields what learning hidden tokens lacks."""
    if task.kind.masks and spec.data.texts is None:
        yield ("data", "texts"), f"{task.name} learns from plain texts: name their column, such as data.texts: text"


def _promised(spec: RecipeSpec, task: Task) -> Iterable[Misfit]:
    """Yields what a promise about written answers does not go with."""
    asked, location = spec.evaluate.abstain_at, ("evaluate", "abstain_at")
    if asked is None:
        return
    if not task.kind.writes and asked.right != SAME:
        able = ", ".join(each.name for each in TASKS if each.kind.writes)
        yield (*location, "right"), OTHERS.format(tasks=able, task=task.name)
    if task.kind.writes and spec.data.texts is not None:
        yield location, "data.texts holds texts without prompts: nothing is answered that could be withheld"
    elif task.kind.writes and not spec.evaluate.write:
        yield location, "needs evaluate.write: true: a promise is about what the model writes"
