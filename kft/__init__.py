"""kft: from a pretrained backbone and labelled data to a model that can be trusted, with proof of each step.

The public API is loaded on first use, so ``import kft`` is quick and free of TensorFlow.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "load_recipe": "kft.recipe.load",
    "train": "kft.api",
    "evaluate": "kft.api",
    "predict": "kft.api",
    "load_backbone": "kft.api",
    "build_model": "kft.api",
    "freeze": "kft.api",
    "split_at_boundary": "kft.api",
    "KftError": "kft.errors",
}

__all__ = sorted([*_PUBLIC, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'kft' has no attribute {name!r}; it has {', '.join(__all__)}")
    from importlib import import_module

    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
