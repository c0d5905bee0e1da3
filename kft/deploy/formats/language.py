"""The formats of language models: a keras-hub preset, a folder for transformers, adapters alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kft.errors import UsageError
from kft.registry import Registry

if TYPE_CHECKING:
    import tokenizers

    from kft.answer.artifact import Artifact

ADAPTERS = "adapters.safetensors"
ARCHITECTURES = {
    "GPT2Backbone": "GPT2LMHeadModel",
    "GemmaBackbone": "GemmaForCausalLM",
    "Gemma3Backbone": "Gemma3ForCausalLM",
    "Llama3Backbone": "LlamaForCausalLM",
    "MistralBackbone": "MistralForCausalLM",
    "QwenBackbone": "Qwen2ForCausalLM",
}
"""What transformers calls the model of each family that keras-hub 0.32 writes for it, and kft reads."""


@dataclass(frozen=True)
class LanguageFormat:
    """A format.

    Attributes:
        name: As ``--format`` takes it.
        about: For people, in a few words.
        model: What the weights' file is called.
        write: Writes a folder; what it is given holds the merged weights, unless ``alone``.
        packages: What has to be installed where it answers, as pip takes it.
        libraries: That load it: the proof is by the first which is installed here.
        alone: Whether adapters are written without their base.
    """

    name: str
    about: str
    model: str
    write: Callable[[Artifact, Path], None]
    packages: tuple[str, ...]
    libraries: tuple[str, ...]
    alone: bool = False

    @property
    def library(self) -> str:
        """What proves the format here."""
        needs = {"transformers": ("transformers", "torch"), "keras-hub": ("keras_hub",)}
        return next(each for each in self.libraries if all(find_spec(name) for name in needs.get(each, ())))


def _write_keras_hub(artifact: Artifact, folder: Path) -> None:
    from kft.model.hub_tokenizer import hub_tokenizer
    from kft.model.language import causal_lm
    from kft.model.tokenizers import BESIDE

    reader, backbone = artifact.reader.writing, artifact.backbone
    assert reader is not None and backbone is not None
    bare = causal_lm(backbone.model)
    tokenizer = hub_tokenizer(type(bare).preprocessor_cls.tokenizer_cls, backbone)
    first = _first_token(reader.tokenizer.tokenizer)
    if tokenizer.start_token_id is not None and tokenizer.start_token_id != first:
        raise UsageError(
            "keras-hub puts a first token before every prompt, and this model was trained without it",
            where="--format keras-hub",
            received=f"a tokenizer that puts {_named(reader.tokenizer.tokenizer, first)} before a text",
            expected=f"one that puts {tokenizer.start_token!r} there",
            next_step="--format transformers reads prompts as they were trained",
        )
    length = reader.prompt_tokens + reader.response_tokens
    preprocessor = type(bare).preprocessor_cls(tokenizer, sequence_length=length, add_start_token=first is not None)
    type(bare)(backbone=backbone.model, preprocessor=preprocessor).save_to_preset(str(folder))
    reader.tokenizer.tokenizer.save(str(folder / BESIDE))


def _write_transformers(artifact: Artifact, folder: Path) -> None:
    from kft.model.language import causal_lm

    reader, backbone = artifact.reader.writing, artifact.backbone
    assert reader is not None and backbone is not None
    family = type(backbone.model).__name__
    if family not in ARCHITECTURES:
        raise UsageError(
            "keras-hub does not write this family for transformers",
            where="--format transformers",
            received=family,
            expected="one of " + ", ".join(name.removesuffix("Backbone") for name in ARCHITECTURES),
            next_step="--format keras-hub, or --format adapters",
        )
    causal_lm(backbone.model).export_to_transformers(str(folder))
    tokenizer = reader.tokenizer.tokenizer
    tokenizer.save(str(folder / "tokenizer.json"))
    end = tokenizer.id_to_token(reader.end)
    number = _first_token(tokenizer)
    first = None if number is None else tokenizer.id_to_token(number)
    pad = next((name for name in ("<pad>", "[PAD]") if tokenizer.token_to_id(name) is not None), end)
    names = {"eos_token": str(end), "pad_token": str(pad), **({"bos_token": str(first)} if first else {})}
    fast: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        **names,
    }
    fast["model_max_length"] = backbone.max_tokens
    _write_json(folder / "tokenizer_config.json", fast)
    numbers: dict[str, Any] = {f"{key}_id": tokenizer.token_to_id(name) for key, name in names.items()}
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    named = {"architectures": [ARCHITECTURES[family]]}  # keras-hub leaves some families' out
    if config.get("n_inner") == 4 * config.get("n_embd", 0):
        config["n_inner"] = None  # GPT-2's own, said as it says it
    _write_json(folder / "config.json", {**named, **config, "bos_token_id": None, **numbers})
    ends = sorted(reader.ends)  # kft's own answers end at any of them
    numbers["eos_token_id"] = ends[0] if len(ends) == 1 else ends
    _write_json(folder / "generation_config.json", {"do_sample": False, **numbers})


def _first_token(tokenizer: tokenizers.Tokenizer) -> int | None:
    """Returns the special token that a tokenizer puts before a text."""
    with_special, without = (tokenizer.encode("a", add_special_tokens=each).ids for each in (True, False))
    return with_special[0] if with_special[:1] != without[:1] else None


def _named(tokenizer: tokenizers.Tokenizer, token: int | None) -> str:
    return "nothing" if token is None else repr(tokenizer.id_to_token(token))


def _write_adapters(artifact: Artifact, folder: Path) -> None:
    from safetensors.numpy import save_file

    from kft.model.freeze import ADAPTERS as NAMES

    arrays = {each.path: each.numpy() for each in artifact.graph.weights if each.name in NAMES}
    save_file(arrays, folder / ADAPTERS)


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


LANGUAGE_FORMATS: Registry[LanguageFormat] = Registry("format", "kft export --help lists them")
KERAS_HUB = LanguageFormat(
    name="keras-hub",
    about="a keras-hub preset, adapters merged: keras_hub.models.CausalLM.from_preset(DEST)",
    model="model.weights.h5",
    write=_write_keras_hub,
    packages=("keras-hub>=0.32", "tensorflow>=2.20,<2.22"),
    libraries=("keras-hub",),
)
TRANSFORMERS = LanguageFormat(
    name="transformers",
    about="for Hugging Face's transformers, adapters merged: AutoModelForCausalLM.from_pretrained(DEST)",
    model="model.safetensors",
    write=_write_transformers,
    packages=("transformers>=4.50", "torch>=2"),
    libraries=("transformers", "keras-hub"),
)
ALONE = LanguageFormat(
    name="adapters",
    about="the adapters alone, a few MB, for kft with the same base",
    model=ADAPTERS,
    write=_write_adapters,
    packages=("kft",),
    libraries=("kft",),
    alone=True,
)
for _format in (KERAS_HUB, TRANSFORMERS, ALONE):
    LANGUAGE_FORMATS.register(_format.name, _format)
