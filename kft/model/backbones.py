"""Loading a pretrained backbone with what belongs to it: its tokenizer or the images it wants, and its hash.

Where a name leads stands in sources.py, the catalog in catalog.py; hugging_face.py and presets.py read the files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kft.errors import ModelError
from kft.model.catalog import CATALOG, BackboneEntry
from kft.model.chats import Chat, chat_of
from kft.model.files import BackboneFiles, backbone_files, refuse_pointer
from kft.model.gguf_gemma import SUFFIX
from kft.model.hugging_face import family_of, load_hugging_face, read_config
from kft.model.images import ImageInput, image_input
from kft.model.limits import OWN_FILE, POSITIONS, positions_of
from kft.model.sizes import check_memory, check_sizes
from kft.model.sources import fetch_backbone, resolve_backbone
from kft.model.tokenizers import TextTokenizer, load_tokenizer
from kft.notebook import Line, Piece, shows
from kft.recipe.schema import RecipeSpec

if TYPE_CHECKING:
    import keras

    from kft.tasks.inputs import InputKind

__all__ = (
    "CATALOG",
    "Backbone",
    "BackboneEntry",
    "ImageInput",
    "TextTokenizer",
    "load_backbone",
    "load_plain",
    "resolve_backbone",
)
Report = Callable[[str], None]
PACKED = 4
"""Weights that a byte of a GGUF file holds, at most: two bits each."""


@shows
@dataclass(frozen=True)
class Backbone:
    """A loaded backbone.

    Attributes:
        name: The catalog name, the source, or the path.
        modality: ``text`` or ``image``.
        model: One flat functional graph. Its inputs are called ``token_ids``, ``padding_mask`` and, where the
            family has it, ``segment_ids``; or ``images``.
        features: What heads take: text ``[batch, tokens, width]``; images ``[batch, height, width, channels]`` or
            ``[batch, tokens, width]``.
        tokenizer: Turns text into ids; None for images.
        image: What the model wants of an image; None for text.
        entry: The catalog entry, or None for any other source.
        files: What it was read from, with the sha256 of each: weights, vocabulary, settings, config.json.
        max_tokens: How many positions it knows; 0 for images.
        pooling: What is advised to make one vector of the features: ``mean``, or ``last`` for causal decoders.
        chat: The chat template of a Hugging Face folder that has one.
    """

    name: str
    modality: str
    model: keras.Model
    features: Any
    tokenizer: TextTokenizer | None
    image: ImageInput | None
    entry: BackboneEntry | None
    files: BackboneFiles
    max_tokens: int
    pooling: str
    chat: Chat | None = None

    def shown(self) -> Iterator[Piece]:
        tokens = f"up to {self.max_tokens:,} tokens" if self.max_tokens else ""
        yield Line(self.name, self.modality, f"{self.model.count_params():,} parameters", tokens)

    def reads(self, kind: InputKind) -> bool:
        return kind.medium == self.modality

    @property
    def weights_hash(self) -> str:
        """sha256 of the weights file, or over those of its parts."""
        return self.files.weights_hash

    @property
    def learning_rate(self) -> float:
        """The peak fine-tuning rate that is advised for the top blocks."""
        return self.entry.learning_rate if self.entry else 5e-5


def load_backbone(
    name: str,
    *,
    dropout: float = 0.1,
    report: Report | None = None,
    allow: Sequence[str] = (),
    weights: str = "pretrained",
    seed: int = 0,
) -> Backbone:
    """Loads a pretrained backbone and its tokenizer.

    Args:
        name: A name from ``kft models``; a keras-hub preset (``bert_tiny_en_uncased``), ``kaggle://...``,
            ``hf://owner/repo``; or the path of a Hugging Face folder, a keras-hub preset folder, a ``.gguf`` file of
            Gemma 3, or a ``.keras`` file of a flat functional model whose last output is the features (for text,
            with a tokenizer.json beside it).
        dropout: Dropout inside the blocks of transformers; active only in blocks that train.
        report: Called with a line when something is downloaded, and with what was loaded and what was not.
        allow: Globs of the names of a Hugging Face folder's tensors that may be left out, and of the model's
            variables that may stay new; poolers and the heads of other tasks may without being named.
        weights: ``pretrained``; or ``random``, to train from scratch: the same architecture, initialised anew.
        seed: Of random weights.

    Returns:
        The backbone. In a text model ``backbone.model`` maps ``token_ids`` and ``padding_mask``, each
        ``int32[batch, tokens]``, to ``backbone.features``, ``float32[batch, tokens, width]``.

    Raises:
        ModelError: The name is unknown, or what it leads to cannot be loaded faithfully.
        AssetError: The weights could not be fetched, or are not what was pinned.

    Example:
        >>> import kft
        >>> backbone = kft.load_backbone("minilm-l6")  # doctest: +SKIP
        >>> backbone.features.shape  # doctest: +SKIP
        (None, None, 384)
    """
    from kft import runtime

    path = fetch_backbone(name, report)  # before TensorFlow loads: what is not there is said at once
    described = _sizes_of(path)
    files = backbone_files(path)
    if described:
        folder = path if path.is_dir() else path.parent
        held = sum((folder / each).stat().st_size for each in files.weights) * (1 if path.is_dir() else PACKED)
        check_memory(_config_of(path), described, held if weights == "pretrained" else None)
    runtime.load_keras_hub()
    entry = CATALOG.get(name) if name in CATALOG else None
    asked = _Asked(name, path, entry, files, dropout, weights == "pretrained")
    if not asked.pretrained:
        import keras

        keras.utils.set_random_seed(seed)
    from kft.model.filling import filled

    with filled() if asked.pretrained else nullcontext():
        return _load(asked, allow, report)


def load_plain(spec: RecipeSpec, report: Report | None = None) -> Backbone:
    """Loads the backbone that a recipe names, without what another run has made of it, which goes before it is rounded.

    ``kft.train.start`` does both.

    Raises:
        ModelError: As ``load_backbone``; or it computes in another type than ``train.precision`` asks for, or
            ``model.blocks`` does not fit it.
    """
    from kft.model.first_blocks import first_blocks
    from kft.model.precision import computing_in, require_precision

    model, precision = spec.model, spec.train.precision
    with computing_in(precision):
        found = load_backbone(
            model.backbone, dropout=model.dropout, report=report, weights=model.weights, seed=spec.seed
        )
    require_precision(found.model, precision, found.name)
    return found if model.blocks is None else first_blocks(found, model.blocks)


@dataclass(frozen=True)
class _Asked:
    """What ``load_backbone`` was asked for."""

    name: str
    path: Path
    entry: BackboneEntry | None
    files: BackboneFiles
    dropout: float
    pretrained: bool


def _load(asked: _Asked, allow: Sequence[str], report: Report | None) -> Backbone:
    path = asked.path
    if path.suffix == ".keras":
        return _from_keras_file(asked, report)
    if path.suffix == ".pth":
        return _from_torch_file(asked)
    config = read_config(path)
    from kft.model.presets import is_preset

    if is_preset(path, config):
        return _from_preset(asked, config)
    family, reads = family_of(path, config), _Reads()
    if family.reads_text:  # first what is quick to refuse
        reads = _Reads(load_tokenizer(path, family.model_type, report), positions_of(config, family), family.pooling)
    pretrained, dropout = asked.pretrained, asked.dropout
    model = load_hugging_face(path, config, dropout=dropout, allow=allow, report=report, pretrained=pretrained)
    reads = replace(reads, pooling=family.pooling)
    return _assemble(asked, model, reads)


@dataclass(frozen=True)
class _Reads:
    """How a text model is fed; an image model has no tokenizer."""

    tokenizer: TextTokenizer | None = None
    max_tokens: int = 0
    pooling: str = "mean"


def _assemble(asked: _Asked, model: keras.Model, reads: _Reads) -> Backbone:
    from kft.model.flat import flatten
    from kft.model.rows import require_rows

    flat, features = flatten(model, str(asked.path))
    for layer in flat.layers:  # keras-hub's Llama names it so when it is asked for its configuration, and nowhere else
        if hasattr(layer, "rope_position_scaling_factor") and not hasattr(layer, "rope_scaling_factor"):
            layer.rope_scaling_factor = layer.rope_position_scaling_factor
    if reads.tokenizer:
        require_rows(flat, reads.tokenizer, asked.path)
    if not asked.pretrained:
        _hasten_norms(flat)
    return Backbone(
        name=asked.name,
        modality="text" if reads.tokenizer else "image",
        model=flat,
        features=features,
        tokenizer=reads.tokenizer,
        image=None if reads.tokenizer else image_input(asked.path, flat),
        entry=asked.entry,
        files=asked.files,
        max_tokens=reads.max_tokens,
        pooling=reads.pooling,
        chat=chat_of(asked.path) if reads.tokenizer else None,
    )


def _from_preset(asked: _Asked, config: dict[str, Any]) -> Backbone:
    from kft.model.presets import DECODERS, load_preset, preset_tokenizer

    path = asked.path
    model = load_preset(path, config, dropout=asked.dropout, pretrained=asked.pretrained)
    reads = _Reads(pooling="last" if str(config.get("class_name")).startswith(DECODERS) else "mean")
    if _reads_text(path, model):
        tokens = int(getattr(model, "max_sequence_length", None) or POSITIONS)
        reads = _Reads(preset_tokenizer(path), tokens, reads.pooling)
    return _assemble(asked, model, reads)


def _from_keras_file(asked: _Asked, report: Report | None) -> Backbone:
    from kft.model.presets import load_keras_file

    path = asked.path
    model = load_keras_file(path)
    if not asked.pretrained:
        import keras

        model = keras.models.clone_model(model)  # its layers draw their weights anew
    reads = _Reads()
    # A model without a graph is refused for that, by flatten.
    if getattr(model, "inputs", None) and _reads_text(path, model):
        if not (path.parent / "tokenizer.json").is_file():
            raise ModelError(
                "a text model needs its tokenizer",
                where=str(path),
                received=f"no {path.parent / 'tokenizer.json'}",
                expected="the `tokenizers` package's file, beside the model",
                next_step="save it there: tokenizer.save('tokenizer.json')",
            )
        reads = _Reads(load_tokenizer(path.parent), OWN_FILE)
    elif report:
        report(f"{path.name}: takes pixels as they are, from 0 to 255; a model that wants others scales them itself")
    return _assemble(asked, model, reads)


def _reads_text(path: Path, model: keras.Model) -> bool:
    """Whether a model's inputs are those of a text and not of an image; others (both, or two texts) are refused."""
    names = {tensor.name for tensor in model.inputs}
    if {"token_ids", "padding_mask"} <= names <= {"token_ids", "padding_mask", "segment_ids"}:
        return True
    if len(model.inputs) == 1 and len(model.inputs[0].shape) == 4 and model.inputs[0].shape[-1] == 3:
        return False
    raise ModelError(
        "the model's inputs are neither a text's nor an image's",
        where=str(path),
        received=", ".join(f"{tensor.name} {tensor.shape}" for tensor in model.inputs),
        expected="token_ids, padding_mask and perhaps segment_ids; or one input [batch, height, width, 3]",
        next_step="name them: keras.Input((None,), dtype='int32', name='token_ids')",
    )


def _from_torch_file(asked: _Asked) -> Backbone:
    from kft.model.efficientnet_lite import load_efficientnet_lite

    return _assemble(asked, load_efficientnet_lite(asked.path, pretrained=asked.pretrained), _Reads())


def _hasten_norms(model: keras.Model) -> None:
    """Lets BatchNorm's statistics follow within tens of steps.

    The momentum of 0.99 and above that backbones come with suits a million steps; over the few hundred of a small
    data set the statistics still hold their first values, and every validation figure is noise (docs/log.md).
    """
    import keras

    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = min(layer.momentum, 0.9)


def _sizes_of(path: Path) -> dict[str, Any]:
    """Returns what config.json says of the model; refuses sizes that nobody means, before anything is built."""
    if path.is_file() and path.suffix != SUFFIX:
        return {}
    refuse_pointer(_config_of(path))
    config = read_config(path)
    from kft.model.presets import is_preset

    inner = config.get("config") if is_preset(path, config) else config
    if not isinstance(inner, dict):
        raise ModelError(
            "config.json does not describe a model",
            where=f"{path / 'config.json'}, config",
            received=repr(inner)[:80],
            expected="the model's sizes by their names",
            next_step="copy config.json from where the weights came from",
        )
    check_sizes(_config_of(path), inner)
    return inner


def _config_of(path: Path) -> Path:
    """Where a backbone's sizes stand: its config.json, or the header of a GGUF file."""
    return path if path.is_file() else path / "config.json"
