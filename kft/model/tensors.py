"""The named tensors of a Hugging Face folder or a GGUF file, and a record of which of them were read."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kft.errors import ModelError
from kft.model.filling import is_assigned_later
from kft.model.gguf_gemma import SUFFIX, GgufTensors


def tensor_reader() -> type:
    """Returns keras-hub's reader of safetensors, extended by GGUF files and a record of what was read."""
    from keras_hub.src.utils.transformers.safetensor_utils import SafetensorLoader

    class TensorReader(SafetensorLoader):
        """Reads tensors by the names that converters ask for, and notes them.

        Folders saved from a bare model lack the prefix that converters of keras-hub write out ("roberta."), and
        those saved with a task have one that others leave out; the common prefix is found once.
        """

        def __init__(self, preset: str, allowed: Sequence[str]) -> None:
            super().__init__(preset)
            self.allowed = allowed
            self.read: set[str] = set()
            self.filled: set[int] = set()
            self.names = self._all_names()

        def _all_names(self) -> dict[str, str]:
            import safetensors

            from kft.model.files import INDEX, WHOLE, shards_of

            folder = Path(self.preset)
            if folder.suffix == SUFFIX and folder.is_file():
                self.safetensor_files[folder.name] = GgufTensors(folder)
                return dict.fromkeys(self.safetensor_files[folder.name].keys(), folder.name)
            files = shards_of(folder, INDEX, ".safetensors") if (folder / INDEX).is_file() else [WHOLE]
            names: dict[str, str] = {}
            for file in files:
                path = Path(self.preset) / file
                try:
                    self.safetensor_files[file] = self.enter_context(safetensors.safe_open(path, framework="np"))
                except (OSError, safetensors.SafetensorError) as error:
                    raise mismatch(Path(self.preset), f"{file}: {error}", "a whole safetensors file") from None
                names.update((name, file) for name in self.safetensor_files[file].keys())  # noqa: SIM118
            return names

        def find(self, key: str) -> str | None:
            """Returns the file's name for what a converter calls ``key``."""
            if key in self.names:
                return key
            # As a bare model's file has it; then as a file with a prefix of its own has it.
            bare = key.partition(".")[2]
            if key.split(".")[0] in PREFIXES and bare in self.names:
                return bare
            ends = [name for name in self.names if name.endswith("." + key) and name[: -len(key) - 1] in PREFIXES]
            return ends[0] if len(ends) == 1 else None

        def get_prefixed_key(self, hf_weight_key: str, dict_like: Any) -> str:
            """Keeps keras-hub's own search, which takes any name with a fitting end, from being used."""
            return self.find(hf_weight_key) or hf_weight_key

        def get_tensor(self, hf_weight_key: str) -> np.ndarray:
            """Returns a tensor as float32."""
            name = self.find(hf_weight_key)
            if name is None:
                raise KeyError(f"no tensor {hf_weight_key}")
            self.read.add(name)
            return _as_float32(self.safetensor_files[self.names[name]], name)

        def port_weight(self, keras_variable: Any, hf_weight_key: str, hook_fn: Any = None) -> None:
            """Fills a variable, or leaves it new where that is allowed."""
            name = self.find(hf_weight_key)
            if name is None and matches(hf_weight_key, self.allowed):
                return
            if name is not None and is_assigned_later(keras_variable):
                self.read.add(name)  # as good as read
            else:
                super().port_weight(keras_variable, hf_weight_key, hook_fn)
            self.filled.add(id(keras_variable))

    return TensorReader


PREFIXES = (
    "bert",
    "roberta",
    "distilbert",
    "albert",
    "electra",
    "deberta",
    "vit",
    "deit",
    "transformer",
    "model",
    "language_model",
)
"""What families put before the names of their tensors, or leave out."""


def _as_float32(file: Any, name: str) -> np.ndarray:
    try:
        return np.asarray(file.get_tensor(name), dtype=np.float32)
    except TypeError:  # NumPy has no bfloat16 of its own
        import ml_dtypes  # noqa: F401  (gives NumPy the name)

        return np.asarray(file.get_tensor(name), dtype=np.float32)


def matches(name: str, globs: Sequence[str]) -> bool:
    """Whether a tensor's name fits a glob, with or without its family's prefix."""
    bare = name.partition(".")[2] if name.split(".")[0] in PREFIXES else name
    return any(fnmatch.fnmatchcase(each, glob) for glob in globs for each in (name, bare))


def mismatch(folder: Path, received: str, expected: str) -> ModelError:
    """Returns the error for weights that are not those of the model."""
    return ModelError(
        "the folder's weights and the model do not fit each other",
        where=str(folder),
        received=received,
        expected=expected,
        next_step="if that is meant, name them: kft.load_backbone(..., allow=('name.*',))",
    )
