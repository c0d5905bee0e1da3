"""What a folder's README.md says of itself: languages and licence, as Hugging Face's model cards state them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml.error import YAMLError

from kft.recipe.limits import TooMuch
from kft.recipe.yaml_file import parse_yaml

CARD = "README.md"
MOST_BYTES, MOST_LANGUAGES = 2**16, 3


@dataclass(frozen=True)
class Card:
    """What is stated.

    Attributes:
        languages: Codes such as ``en``; of many, how many; empty where none is.
        licence: Such as ``apache-2.0``; empty where none is.
    """

    languages: str = ""
    licence: str = ""


def read_card(folder: Path) -> Card:
    """Returns what a folder states; nothing where there is no card, or none that can be read."""
    try:
        with (folder / CARD).open("rb") as file:
            text = file.read(MOST_BYTES).decode("utf-8", errors="replace")
        lines = text.splitlines()
        if not lines or lines[0].strip() != "---":
            return Card()
        values = parse_yaml("\n".join(lines[1 : [line.strip() for line in lines].index("---", 1)]))
        return Card(_languages(values.get("language")), _word(values.get("license_name") or values.get("license")))
    except (OSError, ValueError, AttributeError, YAMLError, TooMuch):
        return Card()


def _languages(stated: Any) -> str:
    codes = list(stated) if isinstance(stated, Sequence) and not isinstance(stated, str) else [stated]
    known = [word for word in map(_word, codes) if word]
    return ", ".join(known) if len(known) <= MOST_LANGUAGES else f"{len(known)} languages"


def _word(value: Any) -> str:
    return value.strip()[:60] if isinstance(value, str) else ""
