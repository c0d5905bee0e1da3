"""What a recipe asks of an embedding: how pairs of query and document are learned, and what stands before texts."""

from __future__ import annotations

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


class PromptsSpec(Spec):
    """What is put before each text, as a backbone was trained with it."""

    query: str = Field("", max_length=500, description='before a query, such as "query: "')
    document: str = Field("", max_length=500, description='before a document, such as "passage: "')
