"""What a recipe asks of rows without labels: another run that answers them, or a phase that trusts its own answers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_serializer

from kft.recipe.spec import Spec


class TeacherSpec(Spec):
    """A finished run whose probabilities are learned from (Hinton et al., 2015); its folder alone is ``run``."""

    run: str = Field(min_length=1, description="the run folder of the teacher")
    temperature: float = Field(
        1.0, gt=0, le=100, description="softens its calibrated probabilities above 1, sharpens them below"
    )
    weight: float = Field(
        0.5, ge=0, le=1, description="its share in what a labelled row is learned by; the label has the rest"
    )


def _teacher(value: Any) -> Any:
    """A folder alone stands for ``{run: ...}``."""
    return {"run": value} if isinstance(value, str) else value


Teacher = Annotated[TeacherSpec, BeforeValidator(_teacher, json_schema_input_type=str | TeacherSpec)]

CONFIDENT = "confident"


class UnlabelledSpec(Spec):
    """Which rows of ``data.unlabelled`` a phase learns from, by the answers of what the run has kept until then."""

    name: str = Field(CONFIDENT, pattern="^confident$", description="those that are answered with enough confidence")
    error: float = Field(
        0.1, gt=0, lt=1, description="how many of them may be answered wrongly, judged by rows that were not learned"
    )

    @model_serializer
    def _as_written(self) -> Any:
        return {"name": self.name, "error": self.error}

    def __str__(self) -> str:
        return f"unlabelled rows, at most {self.error:.0%} of them wrong"


def _unlabelled(value: Any) -> Any:
    """A name alone stands for ``{name: ...}``."""
    return {"name": value} if isinstance(value, str) else value


FromUnlabelled = Annotated[UnlabelledSpec, BeforeValidator(_unlabelled, json_schema_input_type=str | UnlabelledSpec)]
