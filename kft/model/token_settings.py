"""What the files beside a vocabulary say of how texts are read: obeyed, or refused by name.

``tokenizer_config.json``, ``special_tokens_map.json`` and ``added_tokens.json``, as Hugging Face's tokenizers write
them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kft.errors import ModelError

CONFIG, SPECIAL, ADDED = "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"
FLAGS = ("lstrip", "rstrip", "single_word", "normalized")
NAMED = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token", "bos_token", "eos_token")
ONLY: Mapping[str, tuple[Any, ...]] = {
    "do_basic_tokenize": (True,),
    "never_split": (None, [], ""),
    "split_by_punct": (False,),
    "split_special_tokens": (False,),
    "remove_space": (True,),
    "sp_model_kwargs": (None, {}),
    "add_eos_token": (False,),
    "truncation_side": ("right",),
    "dropout": (None, 0, 0.0),
    "word_tokenizer_type": ("basic",),
    "subword_tokenizer_type": ("wordpiece",),
    "do_word_tokenize": (True,),
    "do_subword_tokenize": (True,),
}
"""Settings that change ids, and the only values that kft reads by; any other is refused."""
SWITCHES = ("do_lower_case", "strip_accents", "tokenize_chinese_chars", "keep_accents", "add_prefix_space")


DEFAULTS = {"tokenize_chinese_chars": True, "strip_accents": None}
"""What a stated switch may be where the tokenizer has none of the kind: files state what they do not use."""


@dataclass(frozen=True)
class AddedToken:
    """A token that was added to a vocabulary.

    Attributes:
        content: Its text.
        number: Its id; None where only its name is said, and it stands in the vocabulary or behind it.
        special: Whether it stands for itself alone: never lowered, never split.
        flags: ``lstrip``, ``rstrip``, ``single_word`` and ``normalized``, where they are said.
    """

    content: str
    number: int | None
    special: bool
    flags: Mapping[str, bool]


@dataclass(frozen=True)
class TokenSettings:
    """What is said of a tokenizer beside its vocabulary.

    Attributes:
        switches: Of ``SWITCHES``, those that are stated.
        names: Special tokens by their roles, those of ``NAMED`` that are stated.
        added: Tokens beyond the vocabulary, and those in it that are taken whole, by id.
    """

    switches: Mapping[str, bool]
    names: Mapping[str, str]
    added: tuple[AddedToken, ...]

    def get(self, name: str, default: bool) -> bool:
        return self.switches.get(name, default)


PLAIN = TokenSettings({}, {}, ())
"""Of a folder that says nothing."""


def refuse_switches(settings: TokenSettings, obeyed: Sequence[str], folder: Path, what: str) -> None:
    """Refuses switches that would change ids and that a kind of tokenizer does not have.

    Raises:
        ModelError: One is on; names it.
    """
    for key, value in settings.switches.items():
        if key not in obeyed and value and not DEFAULTS.get(key):
            raise _refusal(folder / CONFIG, key, value, f"nothing, or false: {what} has no such step")


def read_settings(folder: Path, *, with_json: bool = False) -> TokenSettings:
    """Reads what a folder says of its tokenizer.

    Args:
        folder: The folder.
        with_json: Whether it has a tokenizer.json, which holds the rest of the settings.

    Raises:
        ModelError: A file cannot be read, or asks for what kft does not do; names file and key.
    """
    config, special, added = (_read(folder / name) for name in (CONFIG, SPECIAL, ADDED))
    for key, allowed in ONLY.items():
        if not with_json and key in config and config[key] not in allowed:
            raise _refusal(folder / CONFIG, key, config[key], f"{' or '.join(map(repr, allowed))}")
    switches = {}
    for key in SWITCHES:
        value = config.get(key)
        if value is not None and not isinstance(value, bool):
            raise _refusal(folder / CONFIG, key, value, "true or false")
        if value is not None:
            switches[key] = value
    names = {key: _content(value) for source in (config, special) for key, value in source.items() if key in NAMED}
    more = [source.get("additional_special_tokens") for source in (config, special)]
    whole = {_content(each) for found in more if isinstance(found, list) for each in found} - {""}
    known = {key: name for key, name in names.items() if name}
    return TokenSettings(switches, known, _added(folder, config.get("added_tokens_decoder"), added, whole, known))


def _added(
    folder: Path, decoder: Any, added: Mapping[str, Any], whole: set[str], names: Mapping[str, str]
) -> tuple[AddedToken, ...]:
    """Returns the tokens of added_tokens.json, of ``added_tokens_decoder``, and those only named as special."""
    found: dict[str, AddedToken] = {}
    for content, number in added.items():
        if type(number) is not int or number < 0:
            raise _refusal(folder / ADDED, content, number, "its id, a whole number")
        found[content] = AddedToken(content, number, content in whole or content in names.values(), {})
    if decoder is not None and not isinstance(decoder, Mapping):
        raise _refusal(folder / CONFIG, "added_tokens_decoder", decoder, "tokens by their ids")
    for key, value in (decoder or {}).items():
        place = f"added_tokens_decoder.{key}"
        if not key.isdecimal() or not isinstance(value, Mapping) or not isinstance(value.get("content"), str):
            raise _refusal(folder / CONFIG, place, value, "an id, and a token with its content")
        content = value["content"]
        if content in found and found[content].number != int(key):
            raise _refusal(folder / CONFIG, place, content, f"id {found[content].number}, as in {ADDED}")
        flags = {name: bool(value[name]) for name in FLAGS if name in value}
        found[content] = AddedToken(content, int(key), bool(value.get("special", content in whole)), flags)
    for content in sorted(whole - set(found)):
        found[content] = AddedToken(content, None, True, {})
    return tuple(sorted(found.values(), key=lambda each: (each.number is None, each.number or 0, each.content)))


def _content(value: Any) -> str:
    """Returns a special token's text: it is written as that, or as an object that holds it."""
    found = value.get("content") if isinstance(value, Mapping) else value
    return found if isinstance(found, str) else ""


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise _unreadable(path, str(error)) from None
    if not isinstance(found, dict):
        raise _unreadable(path, f"a {type(found).__name__}")
    return found


def _unreadable(path: Path, received: str) -> ModelError:
    return ModelError(
        "the settings of a tokenizer cannot be read",
        where=str(path),
        received=received,
        expected="a JSON object",
        next_step="fetch the file again, or delete it where the vocabulary says it all",
    )


def _refusal(path: Path, key: str, value: Any, expected: str) -> ModelError:
    return ModelError(
        "this tokenizer is set to read texts as kft does not",
        where=f"{path}, {key}",
        received=repr(value)[:80],
        expected=expected,
        next_step="save a tokenizer.json: AutoTokenizer.from_pretrained(...).save_pretrained(folder) writes one",
    )
