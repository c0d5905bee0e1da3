"""What every part of a recipe is: frozen, and without unknown keys."""

from __future__ import annotations

from pydantic import (
    BaseModel,
    ConfigDict,
)


class Spec(BaseModel):
    """Base of every part of a recipe: frozen, unknown keys forbidden."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)
