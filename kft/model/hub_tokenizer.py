"""The tokenizer of keras-hub's own class for a backbone, however its files lie: what a preset is saved with."""

from __future__ import annotations

import inspect
import json
import struct
from typing import TYPE_CHECKING, Any

from kft.errors import KftError, ModelError
from kft.model.gguf_gemma import SUFFIX, read_gguf_tokens
from kft.model.sentencepiece import SentencePieceModel

if TYPE_CHECKING:
    from kft.model.backbones import Backbone

PICTURE = "<img>"
UNUSED_ROLE = 0xFFFFFFFFFFFFFFFF
"""-1 as a protocol buffer writes it: no piece plays this role."""


def hub_tokenizer(cls: Any, backbone: Backbone) -> Any:
    """Returns keras-hub's tokenizer with a backbone's vocabulary.

    Args:
        cls: The family's tokenizer class.
        backbone: Whose files are looked at.

    Raises:
        ModelError: keras-hub cannot be given this vocabulary.
    """
    from kft.model.sources import fetch_backbone

    path = fetch_backbone(backbone.name)
    assert backbone.tokenizer is not None
    try:
        if path.suffix == SUFFIX:
            model, more = read_gguf_tokens(path), {}
            if (
                "has_vision_tokens" in inspect.signature(cls.__init__).parameters
            ):  # else Gemma 3's wants one for pictures
                more = {"has_vision_tokens": any(text == PICTURE for text, _, _ in model.pieces)}
            return cls(proto=sentencepiece_file(model), **more)
        described = json.loads(backbone.tokenizer.tokenizer.to_str())
        known = described["model"]
        if known["type"] == "BPE" and not known.get("byte_fallback"):
            pairs = [each if isinstance(each, str) else " ".join(each) for each in known["merges"]]
            added = {each["content"]: each["id"] for each in described["added_tokens"]}
            return cls(vocabulary={**known["vocab"], **added}, merges=pairs)
        return cls.from_preset(str(path))
    except KftError:
        raise
    except Exception as error:  # keras-hub, tensorflow-text and sentencepiece each raise their own
        raise ModelError(
            "keras-hub cannot be given this vocabulary",
            where=backbone.name,
            received=(str(error).strip().split("\n") or [""])[0][:200],
            expected=f"what {cls.__name__} of keras-hub reads: a SentencePiece model, or byte pairs with merges",
            next_step="--format transformers or --format adapters keep the tokenizer as it is",
        ) from error


def sentencepiece_file(model: SentencePieceModel) -> bytes:
    """Returns a SentencePiece model as the bytes of its file; the reverse of ``read_sentencepiece``."""
    pieces = b"".join(
        _bytes(1, _bytes(1, text.encode()) + _float(2, score) + _number(3, kind)) for text, score, kind in model.pieces
    )
    places = {text: place for place, (text, _, _) in enumerate(model.pieces)}
    roles = {40: ("<unk>",), 41: ("<bos>", "<s>"), 42: ("<eos>", "</s>"), 43: ("<pad>",)}
    trainer = _number(3, model.kind) + _number(4, len(model.pieces))
    trainer += _number(35, any(kind == 6 for _, _, kind in model.pieces))
    for field, names in roles.items():
        found = next((places[name] for name in names if name in places), None)
        trainer += _number(field, UNUSED_ROLE if found is None else found)
    normalizer = _bytes(1, b"identity") + _bytes(2, model.charsmap) + _number(3, model.dummy_prefix)
    normalizer += _number(4, model.collapse_spaces) + _number(5, True)
    return pieces + _bytes(2, trainer) + _bytes(3, normalizer)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(int(value))


def _float(field: int, value: float) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<f", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value
