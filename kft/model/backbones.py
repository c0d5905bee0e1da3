"""The catalog of pretrained backbones, and loading one with its tokenizer.

A catalog entry is plain data. Loading goes through keras-hub, and honours what the folder's configuration
says where keras-hub does not: the exact GELU, and accents stripped by uncased tokenizers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kft import assets
from kft.errors import ModelError
from kft.registry import Registry, nearest

if TYPE_CHECKING:
    import keras
    import tokenizers


@dataclass(frozen=True)
class BackboneEntry:
    """What `kft models` shows, and what training takes its defaults from."""

    name: str
    modality: str
    source: str
    parameters: int
    licence: str
    hidden_size: int
    blocks: int
    trained_on: str
    languages: str
    learning_rate: float
    about: str


CATALOG: Registry[BackboneEntry] = Registry("backbone", next_step="kft models")
CATALOG.register(
    "minilm-l6",
    BackboneEntry(
        name="minilm-l6",
        modality="text",
        source="package:minilm-l6",
        parameters=22_713_216,
        licence="Apache-2.0",
        hidden_size=384,
        blocks=6,
        trained_on="1.17 billion sentence pairs (all-MiniLM-L6-v2)",
        languages="English",
        learning_rate=5e-5,
        about="small, fast sentence encoder; a strong start for short texts",
    ),
)


@dataclass(frozen=True)
class TextTokenizer:
    """A fast tokenizer: texts in, integer ids out, in parallel, in Rust.

    Attributes:
        tokenizer: The `tokenizers` object, without truncation or padding.
        special_tokens: How many ids it adds to each text ([CLS] and [SEP]).
    """

    tokenizer: tokenizers.Tokenizer
    special_tokens: int

    def encode(self, texts: Sequence[str], max_tokens: int) -> tuple[list[np.ndarray], np.ndarray]:
        """Returns one int32 array of ids a text, at most ``max_tokens`` long, and the lengths before the cut."""
        encodings = self.tokenizer.encode_batch_fast(list(texts))
        lengths = np.array([len(encoding) for encoding in encodings], dtype=np.int64)
        rows = []
        for encoding in encodings:
            ids = np.array(encoding.ids, dtype=np.int32)
            # The closing special token stays, as it does in the truncation of the `tokenizers` package.
            rows.append(ids if len(ids) <= max_tokens else np.append(ids[: max_tokens - 1], ids[-1]))
        return rows, lengths


@dataclass(frozen=True)
class Backbone:
    """A loaded backbone.

    Attributes:
        name: The catalog name, or the folder.
        model: The keras-hub backbone, one flat functional graph.
        tokenizer: Turns text into ids.
        entry: The catalog entry, or None for a person's own folder.
        weights_hash: sha256 of the weights file.
        max_tokens: How many positions it knows.
    """

    name: str
    model: keras.Model
    tokenizer: TextTokenizer
    entry: BackboneEntry | None
    weights_hash: str
    max_tokens: int

    @property
    def learning_rate(self) -> float:
        """The peak fine-tuning rate that is advised for the top blocks."""
        return self.entry.learning_rate if self.entry else 5e-5


def feed(token_ids: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the inputs of a BERT backbone for padded ids and their mask, both ``[batch, tokens]``."""
    return {
        "token_ids": token_ids.astype(np.int32),
        "segment_ids": np.zeros_like(token_ids, dtype=np.int32),
        "padding_mask": mask.astype(np.int32),
    }


def resolve_backbone(name: str, base: Path) -> str:
    """Returns a catalog name as it is, and a person's own folder as an absolute path, from wherever it is asked.

    Refuses an unknown one at once, before anything is loaded.

    Args:
        name: What the recipe says.
        base: The recipe's folder, where a relative path starts.

    Raises:
        ModelError: It is neither in the catalog nor a folder.
    """
    if name in CATALOG:
        return name
    relative = base / Path(name).expanduser()
    return str((relative if relative.is_dir() else _own_folder(name)).resolve())


def load_backbone(name: str, *, dropout: float = 0.1, report: Callable[[str], None] | None = None) -> Backbone:
    """Loads a pretrained backbone and its tokenizer.

    Args:
        name: A name from ``kft models``, or the path of a Hugging Face BERT folder (config.json,
            model.safetensors, vocab.txt).
        dropout: Dropout inside the blocks; active only in blocks that train.
        report: Called with a line when something is downloaded.

    Returns:
        The backbone; ``backbone.model`` maps ``token_ids``, ``segment_ids`` and ``padding_mask``, each
        ``int32[batch, tokens]``, to ``sequence_output``, ``float32[batch, tokens, hidden_size]``.

    Raises:
        ModelError: The name is not in the catalog and no such folder exists, or the folder does not fit.
        AssetError: The weights could not be fetched, or are not what was pinned.

    Example:
        >>> import kft
        >>> backbone = kft.load_backbone("minilm-l6")  # doctest: +SKIP
        >>> backbone.model.output["sequence_output"].shape  # doctest: +SKIP
        (None, None, 384)
    """
    from kft import runtime

    runtime.start()
    entry: BackboneEntry | None = None
    if name in CATALOG:
        entry = CATALOG.get(name)
        folder = assets.fetch(assets.PACKAGES.get(entry.source.removeprefix("package:")), report=report)
    else:
        folder = _own_folder(name)
    config = _read_config(folder)
    return Backbone(
        name=name,
        model=_load_bert(folder, config, dropout),
        tokenizer=load_tokenizer(folder),
        entry=entry,
        weights_hash=_file_hash(folder / "model.safetensors"),
        max_tokens=int(config.get("max_position_embeddings", 512)),
    )


def _own_folder(name: str) -> Path:
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    hint = nearest(name, CATALOG.names())
    raise ModelError(
        f"unknown backbone {name!r}" + (f"; did you mean {hint!r}?" if hint else ""),
        where="model.backbone",
        received=name,
        expected="one of " + ", ".join(CATALOG.names()) + ", or the folder of a Hugging Face BERT model",
        next_step="kft models",
    )


def _read_config(folder: Path) -> dict[str, Any]:
    missing = [name for name in ("config.json", "model.safetensors", "vocab.txt") if not (folder / name).is_file()]
    if missing:
        raise ModelError(
            "the backbone folder is not complete",
            where=str(folder),
            received="no " + ", no ".join(missing),
            expected="config.json, model.safetensors and vocab.txt of a Hugging Face BERT model",
            next_step="kft models",
        )
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError("config.json is not JSON", where=str(folder / "config.json"), received=str(error)) from None
    checks = (
        ("model_type", config.get("model_type"), ("bert",)),
        ("hidden_act", config.get("hidden_act", "gelu"), tuple(ACTIVATIONS)),
        ("position_embedding_type", config.get("position_embedding_type", "absolute"), ("absolute",)),
        ("layer_norm_eps", config.get("layer_norm_eps", 1e-12), (1e-12,)),
    )
    for key, received, allowed in checks:
        if received not in allowed:
            raise ModelError(
                "this version cannot load such a backbone faithfully",
                where=f"{folder / 'config.json'}, {key}",
                received=str(received),
                expected=" or ".join(map(str, allowed)),
                next_step="kft models",
            )
    return config


def exact_gelu(x: Any) -> Any:
    """GELU by the error function (Hendrycks and Gimpel, 2016)."""
    import keras

    return keras.activations.gelu(x, approximate=False)


def tanh_gelu(x: Any) -> Any:
    """GELU by its tanh approximation, as GPT-2 had it."""
    import keras

    return keras.activations.gelu(x, approximate=True)


ACTIVATIONS = {"gelu": exact_gelu, "gelu_new": tanh_gelu, "gelu_pytorch_tanh": tanh_gelu}
"""Hugging Face's names for GELU, and which one each means."""


def _load_bert(folder: Path, config: dict[str, Any], dropout: float) -> keras.Model:
    import keras
    import keras_hub

    model = keras_hub.models.BertBackbone.from_preset(str(folder), dropout=dropout)
    gelu = ACTIVATIONS[config.get("hidden_act", "gelu")]
    # keras-hub always takes the tanh approximation, 3.9e-3 off on checkpoints that mean the exact GELU.
    for layer in model.transformer_layers:
        changed = 0
        for inner in layer._flatten_layers():
            if isinstance(inner, keras.layers.Dense) and inner.activation is not keras.activations.linear:
                inner.activation = gelu
                changed += 1
        layer.activation = gelu  # so that the block's own configuration says what it computes
        if changed != 1:
            raise ModelError(
                "keras-hub's transformer block is not built as expected",
                where=layer.name,
                received=f"{changed} dense layers with an activation",
                expected="1",
                next_step="install the keras-nlp version that setup.cfg names",
            )
    return model


def load_tokenizer(folder: Path) -> TextTokenizer:
    """Builds the tokenizer that the folder's own configuration describes."""
    import tokenizers

    if (folder / "tokenizer.json").is_file():
        tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    else:
        settings: dict[str, Any] = {}
        if (folder / "tokenizer_config.json").is_file():
            settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        lowercase = bool(settings.get("do_lower_case", True))
        built = tokenizers.BertWordPieceTokenizer(
            str(folder / "vocab.txt"), lowercase=lowercase, strip_accents=settings.get("strip_accents")
        )
        tokenizer = tokenizers.Tokenizer.from_str(built.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return TextTokenizer(tokenizer, special_tokens=tokenizer.num_special_tokens_to_add(False))


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
