"""Gives prompts the passages that they are answered from, as the recipe says: of a column, or found in an index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from kft.data.examples import Examples
from kft.data.passages import take_column, with_passages_hashed
from kft.recipe.load import Recipe
from kft.search.index import Index, SearchAnswer, open_index
from kft.split.data_split import DataSplit
from kft.tasks.cells import as_objects


def index_of(recipe: Recipe) -> Path | None:
    """Returns the folder of the index that a recipe names; a relative one begins where the recipe lies."""
    named = recipe.spec.data.index
    return None if named is None else recipe.base / Path(named).expanduser()


def find_passages(index: Index, prompt: str, most: int) -> tuple[SearchAnswer, bool]:
    """Returns what an index finds for a prompt, and whether it is good: by the index's own promise, where it has one.

    Args:
        index: An open one.
        prompt: All of it is the query.
        most: Passages, each of another document.
    """
    found = index.search(prompt, most)
    return found, bool(found.results) and found.abstain is not True


def grounder_of(recipe: Recipe) -> Callable[[Examples], Examples] | None:
    """Returns what gives examples their passages; None where the recipe names none.

    Raises:
        RunError: The index is not there, or is damaged.
    """
    data = recipe.spec.data
    if data.context is not None:
        column = data.context
        return lambda part: take_column(part, column)
    folder = index_of(recipe)
    if folder is None:
        return None
    index = open_index(folder)

    def found(part: Examples) -> Examples:
        passages = [_texts(index, prompt, data.passages) for prompt in part.inputs]
        return replace(part, passages=as_objects(passages))

    return found


def with_passages(examples: Examples, recipe: Recipe) -> Examples:
    """Returns examples with their passages; as they are where the recipe names none; see ``grounder_of``."""
    ground = grounder_of(recipe)
    return examples if ground is None else ground(examples)


def _texts(index: Index, prompt: str, most: int) -> tuple[str, ...]:
    found, good = find_passages(index, prompt, most)
    return tuple(each.text for each in found.results) if good else ()


def grounded(split: DataSplit, recipe: Recipe) -> DataSplit:
    """Returns the split with passages, which count in the data's hash; as it is where the recipe names none."""
    ground = grounder_of(recipe)
    if ground is None:
        return split
    parts: Sequence[Examples] = [ground(part) for part in (split.train, split.valid, split.test)]
    none = sum(not own for part in parts if part.passages is not None for own in part.passages)
    rows = sum(map(len, parts))
    note = f"{rows:,} prompts with passages" + (f", {none:,} of them with none that is good" if none else "")
    return replace(
        split,
        train=parts[0],
        valid=parts[1],
        test=parts[2],
        data_hash=with_passages_hashed(split.data_hash, parts),
        notes=(*split.notes, note),
    )
