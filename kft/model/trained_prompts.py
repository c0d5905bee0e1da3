"""What a backbone was trained to read before each text, where that is known: without it its vectors are worse."""

from __future__ import annotations

import json
from pathlib import Path

from kft.model.catalog import CATALOG
from kft.recipe.pairs import PromptsSpec

SETTINGS = "config_sentence_transformers.json"
"""The file of a folder that says so, as sentence-transformers writes it."""
NAMES = {"query": ("query", "search_query"), "document": ("document", "passage", "corpus", "search_document")}
"""What its prompts are called there."""
E5 = PromptsSpec(query="query: ", document="passage: ")
"""Of E5 (Wang et al., 2022)."""


def known_prompts(backbone: str) -> PromptsSpec:
    """Returns what stands before queries and documents; nothing where nothing is known.

    Args:
        backbone: A name of ``kft models``, or a folder.

    Example:
        >>> known_prompts("e5-base").document, known_prompts("minilm-l6").document
        ('passage: ', '')
    """
    folder = Path(backbone)
    if backbone in CATALOG:
        return E5 if is_e5(CATALOG.get(backbone).source) else PromptsSpec()
    try:
        told = json.loads((folder / SETTINGS).read_text(encoding="utf-8")).get("prompts") or {}
        found = {side: next((told[name] for name in names if told.get(name)), "") for side, names in NAMES.items()}
        if any(found.values()):
            return PromptsSpec(**found)
    except (OSError, ValueError, AttributeError, TypeError):  # no such file, or one of another kind
        pass
    return E5 if is_e5(folder.name) or is_e5(_said_name(folder)) else PromptsSpec()


def is_e5(name: str) -> bool:
    """Whether a name is that of a backbone of the E5 family that reads ``query: `` and ``passage: ``.

    Example:
        >>> is_e5("intfloat/multilingual-e5-small"), is_e5("intfloat/e5-mistral-7b-instruct"), is_e5("bert-base")
        (True, False, False)
    """
    parts = name.lower().rsplit("/", 1)[-1].replace("_", "-").split("-")
    return "e5" in parts and not {"instruct", "mistral"} & set(parts)


def _said_name(folder: Path) -> str:
    """Returns the name by which a folder's config.json says it was loaded; empty where it says none."""
    try:
        return str(json.loads((folder / "config.json").read_text(encoding="utf-8")).get("_name_or_path", ""))
    except (OSError, ValueError, AttributeError):
        return ""
