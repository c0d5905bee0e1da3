"""What the steps of a phase minimise: the task's own loss, or one that draws vectors of one class together."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_serializer, model_validator

from kft.recipe.spec import Spec

NAMES = "own, contrastive or {name: contrastive, temperature: 0.1}"


class ObjectiveSpec(Spec):
    """An objective by its name; all keys but the name are of ``contrastive``."""

    name: Literal["own", "contrastive"] = Field(
        "own", description="own: the task's loss. contrastive: vectors of one class draw together (Khosla et al., 2020)"
    )
    temperature: float = Field(
        0.1,
        ge=0.001,
        le=10,
        description="contrastive: similarities are divided by it; the lower, the more near ones count",
    )
    per_class: int = Field(5, ge=3, le=1000, description="contrastive: so many examples of a class go together")
    names: bool = Field(False, description="contrastive: each class's name is one more example of it in every batch")

    @model_validator(mode="after")
    def _fits(self) -> ObjectiveSpec:
        keys = sorted(self.model_fields_set - {"name"})
        if self.name == "own" and keys:
            raise ValueError(f"{NAMES}; own has no {', '.join(keys)}")
        return self

    @model_serializer
    def _as_written(self) -> Any:
        keys = {"temperature": self.temperature, "per_class": self.per_class, "names": self.names}
        return self.name if self.name == "own" else {"name": self.name, **keys}

    @property
    def smallest_batch(self) -> int:
        """The rows that two classes need, so that each has something to be told apart from."""
        return 2 * (self.per_class + self.names)

    def __str__(self) -> str:
        if self.name == "own":
            return "own"
        return f"contrastive at temperature {self.temperature:g}" + (" with the classes' names" if self.names else "")


def _objective(value: Any) -> Any:
    """A name alone stands for ``{name: ...}``."""
    return {"name": value} if isinstance(value, str) else value


Objective = Annotated[ObjectiveSpec, BeforeValidator(_objective, json_schema_input_type=str | ObjectiveSpec)]
