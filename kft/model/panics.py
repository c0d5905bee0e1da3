"""What the `tokenizers` package raises, in kft's words: bare exceptions, and panics, which are no ``Exception``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kft.errors import KftError, ModelError

PANIC = "PanicException"


@contextmanager
def tokenizer_errors(where: str) -> Iterator[None]:
    """Turns whatever the package raises into an error that names the tokenizer; Ctrl-C and the like pass.

    Args:
        where: The tokenizer's file or folder.

    Raises:
        ModelError: The package has failed.
    """
    try:
        yield
    except KftError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != PANIC:
            raise
        raise ModelError(
            "this tokenizer cannot be read",
            where=where,
            received=f"{type(error).__name__}: {error}".split("\n")[0][:200],
            expected="a tokenizer that the `tokenizers` package can read and use",
            next_step="fetch its files again, or save them once with transformers: "
            "AutoTokenizer.from_pretrained(...).save_pretrained(folder)",
        ) from None
