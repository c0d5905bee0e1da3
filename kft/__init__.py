"""kft: from a pretrained backbone and labelled data to a model that can be trusted, with proof of each step.

The public API is loaded on first use, so ``import kft`` is quick and free of TensorFlow.
"""

from __future__ import annotations

import sys

from kft.started import hear_signals, is_program, leave_current_folder

if is_program():
    leave_current_folder()
    hear_signals()

from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "KftError": "kft.errors",
    "accept_terms": "kft.assets",
    "apply_corrections": "kft.api.correcting",
    "build_data": "kft.api.preparing",
    "build_model": "kft.model.build",
    "check": "kft.api.checking",
    "check_tpu": "kft.api.training",
    "choose": "kft.api.choosing",
    "clean": "kft.api.cleaning",
    "compare": "kft.api.comparing",
    "draft_suite": "kft.api.suites",
    "evaluate": "kft.api.evaluating",
    "evaluate_suite": "kft.api.suites",
    "export": "kft.api.exporting",
    "find_leftovers": "kft.api.cleaning",
    "freeze": "kft.model.freeze",
    "generate": "kft.api.generating",
    "index": "kft.api.searching",
    "launch": "kft.api.launching",
    "launch_server": "kft.api.launching",
    "list_runs": "kft.api.listing",
    "load": "kft.api.answering",
    "load_backbone": "kft.model.backbones",
    "load_recipe": "kft.tasks.recipes",
    "merge_lora": "kft.model.lora",
    "monitor": "kft.api.monitoring",
    "open_index": "kft.api.searching",
    "plan": "kft.api.training",
    "predict": "kft.api.answering",
    "promote": "kft.api.shelving",
    "queue": "kft.api.queueing",
    "register_mlflow": "kft.api.shelving",
    "report": "kft.api.reporting",
    "retrain": "kft.api.retraining",
    "rollback": "kft.api.shelving",
    "serve": "kft.api.serving",
    "sign": "kft.api.shelving",
    "split_at_boundary": "kft.features.boundary",
    "train": "kft.api.training",
    "verify": "kft.api.shelving",
    "versions": "kft.api.shelving",
}

_KERAS = ("kft.model.build", "kft.model.lora", "kft.features.boundary")
"""Modules that import Keras when they load: it has to start as kft starts it."""

__all__ = ["__version__", *_PUBLIC]


@cache
def _public(name: str) -> Any:
    found = getattr(import_module(_PUBLIC[name]), name)
    return found if isinstance(found, type) else import_module("kft.calls").checked(found, f"kft.{name}")


class _Package(ModuleType):
    """Looks public names up in the API first.

    ``kft.train`` is a function, and also the folder of the training room; ``kft.launch`` and others likewise. Python
    sets the folder as an attribute of the package when something in it is imported; that must not hide the function.
    """

    def __getattribute__(self, name: str) -> Any:
        if name in _PUBLIC:
            if _PUBLIC[name] in _KERAS:
                import_module("kft.runtime").start()
            return _public(name)
        return super().__getattribute__(name)

    def __dir__(self) -> list[str]:
        return sorted(__all__)


sys.modules[__name__].__class__ = _Package
