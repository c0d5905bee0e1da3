"""Loads a Hugging Face folder faithfully, or refuses: what it says is obeyed, and what was read is counted.

keras-hub has converters for most families; kft has its own for the rest (convert_electra.py, convert_deberta.py).
Around each stands the same check: keys of config.json that change what is computed are obeyed or refused, every
tensor of the file is read or its leaving is allowed by name, and every variable of the model is filled or allowed to
be new.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kft.errors import ModelError
from kft.model.families import FAMILIES, Family, check_config, lacks_key
from kft.model.gguf_gemma import SUFFIX, read_gguf_config
from kft.model.tensors import matches, mismatch, tensor_reader

if TYPE_CHECKING:
    import keras

ALLOWED = (
    # Poolers, and what pretraining or another task put on top: a head of one's own takes their place.
    "*pooler.*",
    "cls.*",
    "lm_head.*",
    "*vocab_transform.*",
    "*vocab_layer_norm.*",
    "*vocab_projector.*",
    "predictions.*",
    "sop_classifier.*",
    "*lm_predictions.*",
    "mask_predictions.*",
    "discriminator_predictions.*",
    "generator_predictions.*",
    "generator_lm_head.*",
    "classifier.*",
    "pre_classifier.*",
    "qa_outputs.*",
    "score.*",
    # Counters and masks that some versions saved along; the model makes its own.
    "*position_ids",
    "*rotary_emb.inv_freq",
    "*attn.bias",
    "*attn.masked_bias",
    # Variables of keras-hub's that hold a pooler.
    "pooled_dense/*",
)
"""Tensors and variables, as globs, that may be left out or new without being named by the person who loads."""


def read_config(folder: Path) -> dict[str, Any]:
    """Reads config.json; of a GGUF file what its header says in its place.

    Raises:
        ModelError: It is missing, or no JSON object.
    """
    if folder.suffix == SUFFIX and folder.is_file():
        return read_gguf_config(folder)
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(
            "the backbone folder is not complete",
            where=str(folder),
            received="no config.json",
            expected="a Hugging Face folder (config.json, model.safetensors) or a keras-hub preset folder",
            next_step="kft models",
        ) from None
    except (ValueError, OSError, RecursionError) as error:
        raise ModelError(
            "config.json is not JSON",
            where=str(path),
            received=str(error),
            expected="a configuration as transformers or keras-hub saves it",
            next_step="copy config.json from where the weights came from",
        ) from None
    if not isinstance(config, dict):
        raise ModelError("config.json is not a JSON object", where=str(path), received=type(config).__name__)
    return config


def load_hugging_face(
    folder: Path,
    config: dict[str, Any],
    *,
    dropout: float,
    allow: Sequence[str] = (),
    report: Callable[[str], None] | None = None,
    pretrained: bool = True,
) -> keras.Model:
    """Builds the model that config.json describes and fills it from the folder's safetensors.

    Args:
        folder: Holds config.json and model.safetensors, or its parts and model.safetensors.index.json; or a GGUF
            file.
        config: From ``read_config``.
        dropout: Dropout inside the blocks.
        allow: Globs of tensors that may be left unused and of variables that may stay new, beside ``ALLOWED``.
        report: Called with a line that says what was loaded, and what was not.
        pretrained: Whether to fill it; else it keeps its first random weights.

    Returns:
        The keras-hub backbone.

    Raises:
        ModelError: The family is unknown, or the folder cannot be loaded faithfully.
    """
    family = family_of(folder, config)
    require_weights(folder)
    allowed = (*ALLOWED, *allow)
    try:
        asked = check_config(family, config, folder)
        arguments = {**asked, **({family.dropout: dropout} if family.dropout else {})}
        model, convert = _build(family, family.normalise(config), folder, arguments)
    except KeyError as error:
        raise lacks_key(folder, error) from None
    except (TypeError, ValueError, AttributeError, ArithmeticError, IndexError) as error:
        raise _unusable(folder, error) from None
    if pretrained:
        _fill(folder, config, model, convert, allowed, report)
    if family.activations:
        _set_activation(model, family, config)
    if family.epsilon:
        _set_epsilon(model, float(config.get(family.epsilon, family.default_epsilon)))
    return model


def _fill(
    folder: Path,
    config: dict[str, Any],
    model: keras.Model,
    convert: Callable[[Any, Any], object],
    allowed: Sequence[str],
    report: Callable[[str], None] | None,
) -> None:
    family = family_of(folder, config)
    with tensor_reader()(str(folder), allowed) as reader:
        try:
            convert(model, reader)
        except (ValueError, KeyError) as error:
            raise mismatch(folder, f"{family.name}: {error}", "tensors that fit the configuration") from None
        if family.finish:
            family.finish(model, reader, config)
        _check_read(folder, model, reader, allowed, report)


def family_of(folder: Path, config: dict[str, Any]) -> Family:
    """Returns the family that config.json names.

    Raises:
        ModelError: kft does not read it.
    """
    family = FAMILIES.get(str(config.get("model_type")))
    if family is None:
        raise ModelError(
            "kft cannot read Hugging Face models of this type",
            where=f"{folder / 'config.json'}, model_type",
            received=str(config.get("model_type")),
            expected="one of " + ", ".join(FAMILIES),
            next_step="kft models",
        )
    return family


def _unusable(folder: Path, error: Exception) -> ModelError:
    return ModelError(
        "config.json has a value that no model can be built from",
        where=str(folder / "config.json"),
        received=f"{type(error).__name__}: {error}".split("\n")[0][:200],
        expected="a configuration as transformers saves it",
        next_step="copy config.json from where the weights came from",
    )


def require_weights(folder: Path) -> None:
    """Refuses a folder without weights that kft reads.

    Raises:
        ModelError: Names what is there instead.
    """
    if folder.suffix == SUFFIX and folder.is_file():
        return
    if not (folder / "model.safetensors").is_file() and not (folder / "model.safetensors.index.json").is_file():
        older = sorted(path.name for pattern in ("*.bin", "*.h5", "*.msgpack") for path in folder.glob(pattern))
        raise ModelError(
            "the backbone folder is not complete",
            where=str(folder),
            received="no model.safetensors" + (f", but {', '.join(older)}" if older else ""),
            expected="weights as safetensors (pickles are never loaded)",
            next_step="save it once with transformers: AutoModel.from_pretrained(...).save_pretrained(folder)",
        )


def _build(
    family: Family, config: dict[str, Any], folder: Path, arguments: dict[str, Any]
) -> tuple[keras.Model, Callable[[keras.Model, Any], object]]:
    """Builds the empty model, and returns it with what fills it."""
    from kft.model import convert_deberta, convert_electra

    own = {"electra": convert_electra, "deberta-v2": convert_deberta}.get(family.model_type)
    if own is not None:
        model = own.build(config, arguments)
        return model, lambda built, reader: own.convert_weights(built, reader, config)
    # No public function of keras-hub says what was read; tests/model/test_families.py guards this one.
    from keras_hub.src.utils.transformers import convert_llama3
    from keras_hub.src.utils.transformers.preset_loader import TransformersPresetLoader

    loader = TransformersPresetLoader(str(folder), config)
    cls = loader.check_backbone_class()
    if len(inspect.signature(loader.converter.convert_backbone_config).parameters) != 1:
        raise ModelError("keras-hub's converter is not built as expected", where=family.name)
    model = cls(**{**loader.converter.convert_backbone_config(config), **arguments})
    if family.model_type == "mistral":  # its own converter rounds to float16; its parts are called as Llama's
        model.tie_word_embeddings = False
        return model, lambda built, reader: convert_llama3.convert_weights(built, reader, config)
    return model, lambda built, reader: loader.converter.convert_weights(built, reader, config)


def _check_read(
    folder: Path, model: keras.Model, reader: Any, allowed: Sequence[str], report: Callable[[str], None] | None
) -> None:
    unused = sorted(set(reader.names) - reader.read)
    new = [variable.path for variable in model.weights if id(variable) not in reader.filled]
    new = [path for path in new if not path.endswith(("seed_generator_state",))]
    lost = [name for name in unused if not matches(name, allowed)]
    odd = [path for path in new if not matches(path, allowed)]
    if report:
        loaded = len(model.weights) - len(new)
        report(f"{folder.name}: {loaded} of {len(model.weights)} variables loaded" + _listed("new", new))
        if any(not matches(name, ALLOWED) for name in unused):  # the heads of pretraining are never used
            report(f"{folder.name}: {len(unused)} of {len(reader.names)} tensors not used{_listed('', unused)}")
    if lost or odd:
        parts = [f"tensors that nothing reads: {_some(lost)}"] if lost else []
        parts += [f"variables that nothing fills: {_some(odd)}"] if odd else []
        raise mismatch(folder, "; ".join(parts), "every tensor read and every variable filled, save those allowed")


def _listed(title: str, names: Sequence[str]) -> str:
    return f"{', ' + title if title else ''}: {_some(names)}" if names else ""


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _set_activation(model: keras.Model, family: Family, config: dict[str, Any]) -> None:
    """keras-hub fixes the activation by family: 3.9e-3 off on BERT checkpoints that mean the exact GELU."""
    import keras

    activation = family.activations[str(config.get(family.activation_key, family.default_activation))]
    for layer in model.layers:
        if not hasattr(layer, "activation") or isinstance(layer, keras.layers.Dense):
            continue
        changed = 0
        for inner in layer._flatten_layers():
            if isinstance(inner, keras.layers.Dense) and inner.activation is not keras.activations.linear:
                inner.activation = activation
                changed += 1
        layer.activation = activation  # so that the block's own configuration says what it computes
        if changed != 1:
            raise ModelError(
                "keras-hub's transformer block is not built as expected",
                where=layer.name,
                received=f"{changed} dense layers with an activation",
                expected="1",
                next_step="install the keras-nlp version that setup.cfg names",
            )


def _set_epsilon(model: keras.Model, epsilon: float) -> None:
    """The epsilon of normalisations, which keras-hub fixes by family, or does not hand down to its attention."""
    for layer in model._flatten_layers():
        if "Norm" in type(layer).__name__ and hasattr(layer, "epsilon"):
            layer.epsilon = epsilon
        elif hasattr(layer, "layer_norm_epsilon"):
            layer.layer_norm_epsilon = epsilon
