"""The approaches where responses are written, and what of a recipe says something to them."""

from __future__ import annotations

from collections.abc import Sequence

from kft.compare.verdict import BASELINE, TUNED, WITH_PASSAGES
from kft.errors import RecipeError, UsageError
from kft.recipe.comparing import CompareSpec
from kft.recipe.schema import CHAT_TEMPLATES, RecipeSpec

GROUNDED = "zero-shot" + WITH_PASSAGES
NAMES = (
    BASELINE,
    "retrieval",
    "zero-shot",
    "few-shot",
    "retrieved-shots",
    GROUNDED,
    *(each for name in TUNED for each in (name, name + WITH_PASSAGES)),
)
"""All approaches, cheapest first; those with passages where the recipe names some."""
ABOUT = {
    BASELINE: "one response for all: of JSON the best object by slot F1, else the one nearest to the others",
    "retrieval": "the response of the training row whose words are nearest, as it stands",
    "zero-shot": "the prompt alone, before the model as it is",
    "few-shot": "with examples of train before it, the same for all",
    "retrieved-shots": "with the training rows before it whose words are nearest",
    "lora": "low-rank adapters",
    "top": "the two top blocks",
    "full": "all blocks",
    GROUNDED: "the prompt behind its passages, before the model as it is",
    **{name + WITH_PASSAGES: f"as {name}, each prompt behind its passages" for name in TUNED},
}
BEST_FOR = {
    BASELINE: "a yardstick: it reads nothing",
    "retrieval": "answers that recur; a new row counts at once",
    "zero-shot": "no rows at all, and a model that follows prompts",
    "few-shot": "a handful of rows",
    "retrieved-shots": "rows that change: a new one counts at once",
    "lora": "a fixed form, many tasks on one backbone: small files",
    "top": "as lora, with less memory: what lies below is stored",
    "full": "thousands of rows",
    GROUNDED: "answers that stand in documents; no rows at all",
    **{name + WITH_PASSAGES: f"as {name}, where answers stand in documents" for name in TUNED},
}
HEEDED = ("shots", "templates")
"""Keys of ``compare`` that these approaches obey."""


def names_of(names: Sequence[str] | None, *, grounded: bool) -> list[str]:
    """Returns the approaches that are tried, cheapest first.

    Args:
        names: Those that were asked for; None: all.
        grounded: Whether prompts have passages.

    Raises:
        UsageError: One is unknown, or needs passages.
    """
    unknown = [name for name in names or () if name not in NAMES]
    if unknown:
        raise UsageError(
            "no such approach where responses are written",
            where="--approaches",
            received=", ".join(unknown),
            expected=", ".join(NAMES),
            next_step="leave --approaches out for all of them",
        )
    needs = [name for name in names or () if name.endswith(WITH_PASSAGES)]
    if needs and not grounded:
        raise UsageError(
            "there are no passages to answer from",
            where="--approaches",
            received=", ".join(needs),
            expected="data.context or data.index in the recipe",
            next_step="--index DEST, a folder of kft index",
        )
    wanted = NAMES if names is None else names
    return [name for name in NAMES if name in wanted and (grounded or not name.endswith(WITH_PASSAGES))]


def refuse_unheeded(spec: RecipeSpec) -> None:
    """Refuses keys of ``compare`` that are for labels, not for responses; and chat templates.

    Raises:
        RecipeError: One is set.
    """
    if spec.data.texts is not None:
        raise RecipeError(
            "plain texts hold no responses, so that nothing that is written can be compared",
            where="data.texts",
            received=spec.data.texts,
            expected="prompts and responses",
            next_step="kft train RECIPE sets the untuned model beside the tuned one",
        )
    if spec.model.template in CHAT_TEMPLATES:
        raise RecipeError(
            "examples are not put into chats yet, so that nothing can be compared with a tuned one",
            where="model.template",
            received=spec.model.template,
            expected="prompts in a plain template, such as 'Text: {prompt}'",
            next_step="kft train RECIPE tunes on chats, and sets the untuned model beside it",
        )
    plain = CompareSpec()
    unheeded = [
        name
        for name in CompareSpec.model_fields
        if name not in HEEDED and getattr(spec.compare, name) != getattr(plain, name)
    ]
    if unheeded:
        raise RecipeError(
            "where responses are written the backbone itself is prompted, and nothing is weighed",
            where=", ".join(f"compare.{name}" for name in unheeded),
            received=str(getattr(spec.compare, unheeded[0])),
            expected=" or ".join(f"compare.{name}" for name in HEEDED),
            next_step="leave it out; --set model.backbone=NAME compares another model",
        )
