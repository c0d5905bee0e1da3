"""Labels that are soft: what several people said of one input, or how much of each class someone saw in it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Judgements:
    """Stands in a label's cell that was made of several columns.

    Attributes:
        names: Classes, all different.
        amounts: How much of each: votes or shares, none negative, not all 0.
        votes: How many judgements that are; 0 where nobody has counted.
    """

    names: tuple[str, ...]
    amounts: tuple[float, ...]
    votes: int = 0

    @classmethod
    def of_votes(cls, names: Iterable[str]) -> Judgements:
        """Returns what was voted for, one name a vote.

        Example:
            >>> Judgements.of_votes(["b", "a", "b"])
            Judgements(names=('a', 'b'), amounts=(1, 2), votes=3)
        """
        counts = Counter(names)
        found = sorted(counts)
        return cls(tuple(found), tuple(counts[name] for name in found), counts.total())

    @property
    def leading(self) -> tuple[str, ...]:
        """The classes with the largest share: one, or several that are tied."""
        most = max(self.amounts)
        return tuple(name for name, amount in zip(self.names, self.amounts, strict=True) if amount >= most - 1e-9)

    def plurality(self, key: str) -> str:
        """Returns the class with the largest share; of several, one drawn by the key: always the same, in no order.

        Example:
            >>> judged = Judgements(("a", "b"), (1, 1))
            >>> {judged.plurality(str(seed)) for seed in range(20)} == {"a", "b"}
            True
        """
        leading = self.leading
        if len(leading) == 1:
            return leading[0]
        return min(leading, key=lambda name: hashlib.sha256(f"{key}\0{name}".encode()).digest())
