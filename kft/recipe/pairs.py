"""What a recipe asks of an embedding: how pairs are learned, with scores or without, and what stands before texts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from kft.recipe.spec import Spec


class PairsSpec(Spec):
    """How vectors of queries and documents are drawn together; only for text-embedding."""

    temperature: float = Field(0.05, ge=0.001, le=10, description="cosines are divided by it: lower, near ones count")
    hard_negatives: int = Field(
        0,
        ge=0,
        le=16,
        description="of each pair: documents that the frozen backbone takes for near, found once and in every batch",
    )
    widths: tuple[int, ...] = Field(
        (),
        max_length=16,
        description="vectors cut to their first so many numbers answer too: the loss is their mean (Matryoshka)",
    )

    @field_validator("widths")
    @classmethod
    def _rises(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if list(value) != sorted(set(value)) or any(width < 8 for width in value):
            raise ValueError("widths of 8 or more that rise, such as [64, 128, 384]")
        return value


class GradedSpec(Spec):
    """How vectors learn the scores of pairs; only for text-similarity."""

    loss: Literal["cosent", "squared"] = Field(
        "cosent",
        description="cosent: the order of the scores in a batch (Su, 2022); squared: cosines as high as the scores, "
        "whose range is put between 0 and 1",
    )
    scale: float = Field(20.0, gt=0, le=1000, description="of cosent: what differences of cosines are multiplied by")


class PromptsSpec(Spec):
    """What is put before each text, as a backbone was trained with it."""

    query: str = Field("", max_length=500, description='before a query, or a first text, such as "query: "')
    document: str = Field("", max_length=500, description='before a document, or a second text, such as "passage: "')
