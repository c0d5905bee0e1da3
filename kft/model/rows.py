"""The embeddings of a text model: whether there is a vector for each id that its tokenizer gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kft.errors import ModelError
from kft.model.graph import nodes_in_order
from kft.model.tokenizers import TextTokenizer

if TYPE_CHECKING:
    import keras


def require_rows(model: keras.Model, tokenizer: TextTokenizer, path: Path) -> None:
    """Refuses a tokenizer that is larger than the model's embeddings.

    On a CPU such an id is a traceback in mid-training, on other devices a vector of nothing, without a word.

    Raises:
        ModelError: Says both sizes, and the first token that has no vector.
    """
    rows = embedding_rows(model)
    ids = tokenizer.tokenizer.get_vocab(with_added_tokens=True)
    if not rows or not ids or max(ids.values()) < rows:
        return
    beyond = sorted((number, token) for token, number in ids.items() if number >= rows)
    raise ModelError(
        "the tokenizer is larger than the model's embeddings",
        where=str(path),
        received=f"ids up to {max(ids.values()):,}; {len(beyond):,} have no vector, the first is {beyond[0][1]!r}",
        expected=f"ids below {rows:,}, for which the model has vectors",
        next_step="take tokenizer and weights from one place; an added token needs weights that were resized for it",
    )


def embedding_rows(model: keras.Model) -> int | None:
    """Returns how many ids a model's embeddings know; None where its graph does not show it."""
    return next((rows for rows, _ in _embeddings(model)), None)


def embedding_table(model: keras.Model) -> keras.Variable | None:
    """Returns the vectors of a model's ids, ``[ids, width]``; None where its graph does not show them."""
    for rows, operation in _embeddings(model):
        return next((each for each in operation.weights if len(each.shape) == 2 and each.shape[0] == rows), None)
    return None


def _embeddings(model: keras.Model) -> Iterator[tuple[int, Any]]:
    """Yields what turns ids into vectors, with the number of ids that it knows."""
    reached = {id(tensor) for tensor in model.inputs if tensor.name == "token_ids"}
    for node in nodes_in_order(model):
        if not any(id(tensor) in reached for tensor in node.input_tensors):
            continue
        rows = _rows_of(node.operation)
        if rows:
            yield rows, node.operation
        elif not getattr(node.operation, "weights", None):  # a cast or the like hands the ids on
            reached.update(id(tensor) for tensor in node.output_tensors)


def _rows_of(operation: Any) -> int | None:
    layers = operation._flatten_layers() if hasattr(operation, "_flatten_layers") else (operation,)
    found = [getattr(layer, "input_dim", None) or getattr(layer, "vocabulary_size", None) for layer in layers]
    return next((rows for rows in found if isinstance(rows, int)), None)
