"""What a recipe asks of `kft compare`: which language model is prompted, and how."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from kft.recipe.spec import Spec
from kft.recipe.values import Name

TEXT, LABEL, LABELS = "{text}", "{label}", "{labels}"


def _line_alone(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Lines = Annotated[tuple[Annotated[str, Field(max_length=2000)], ...], BeforeValidator(_line_alone)]


class TemplateSpec(Spec):
    """How a text and its label stand in a prompt, line by line; an empty line parts one example from the next."""

    name: Name
    instruction: Lines = Field(
        (), max_length=50, description="lines that stand once, before the examples; {labels}: the words of all labels"
    )
    example: Lines = Field(max_length=50, description="lines of a labelled text: {text}, and {label} at their end")

    @model_validator(mode="after")
    def _fits(self) -> TemplateSpec:
        before, label, behind = "\n".join(self.example).partition(LABEL)
        if not label or behind or before.count(TEXT) != 1 or not before.split(TEXT)[1].strip():
            raise ValueError("an example with {text} once, some words or a sign, and {label} at the end")
        if any(mark in line for line in self.instruction for mark in (TEXT, LABEL)):
            raise ValueError("an instruction without {text} and {label}, which belong to the example")
        return self

    @property
    def head(self) -> str:
        """What stands before a text."""
        return "\n".join(self.example).split(TEXT)[0]

    @property
    def tail(self) -> str:
        """What stands between a text and its label, without the space before the label."""
        return "\n".join(self.example).removesuffix(LABEL).split(TEXT)[1].rstrip(" ")


class CompareSpec(Spec):
    """How `kft compare` prompts a language model; training reads none of it."""

    language_model: str | None = Field(
        None, description="a decoder, as model.backbone names one; default: the recipe's backbone where it is one"
    )
    examples: Literal["auto", "none", "fixed", "retrieved"] = Field(
        "auto",
        description="labelled examples in the prompt: none; the same for all, a class by turns; or those of train that "
        "lie nearest by the frozen backbone; auto: chosen on valid",
    )
    shots: int = Field(8, ge=1, le=256, description="how many examples a prompt has")
    calibrate: Literal["auto", "always", "never"] = Field(
        "auto", description="against what the labels get without a text (Zhao et al., 2021); auto: chosen on valid"
    )
    score: Literal["auto", "sum", "mean"] = Field(
        "auto", description="of the log-likelihoods of a label's tokens; auto: chosen on valid"
    )
    label_words: dict[str, str] = Field(
        {}, description="words for a label whose name is not what a text would say, such as {pos: great, neg: bad}"
    )
    templates: tuple[TemplateSpec, ...] = Field(
        (), max_length=32, description="in place of kft's own; the best on valid is taken"
    )

    @model_validator(mode="after")
    def _names_differ(self) -> CompareSpec:
        names = [each.name for each in self.templates]
        if len(set(names)) < len(names):
            raise ValueError("templates of different names")
        if blank := [label for label, words in self.label_words.items() if not words.strip()]:
            raise ValueError(f"words for the label {blank[0]!r}")
        return self
