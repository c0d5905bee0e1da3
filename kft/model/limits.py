"""How many tokens a backbone takes, as far as that is known before it is loaded."""

from __future__ import annotations

from typing import Any

from kft.errors import KftError
from kft.model.catalog import CATALOG
from kft.model.families import Family
from kft.model.gguf_gemma import SUFFIX
from kft.model.hugging_face import family_of, read_config
from kft.model.presets import is_preset
from kft.model.sources import fetch_backbone, on_disk, source_of

POSITIONS = 8192
"""How many tokens kft takes where a model itself sets no limit."""
OWN_FILE = 512
"""How many of a person's own ``.keras`` file."""


def positions_of(config: dict[str, Any], family: Family) -> int:
    """Returns how many tokens a Hugging Face configuration has positions for."""
    return int(config.get(family.positions, POSITIONS)) - family.reserved


def known_limit(name: str) -> int | None:
    """Returns how many tokens a backbone takes; None where neither its files on this disk nor the catalog say so.

    Args:
        name: From ``resolve_backbone``.

    Example:
        >>> known_limit("minilm-l6")
        512
    """
    try:
        path = fetch_backbone(name) if on_disk(source_of(name)) else None
        if path is not None and path.suffix == ".keras":
            return OWN_FILE
        if path is not None and (path.is_dir() or path.suffix == SUFFIX):
            config = read_config(path)
            if not is_preset(path, config):
                return positions_of(config, family_of(path, config))
            own = config.get("config", {}).get("max_sequence_length")
            return None if own is None else int(own)
    except (KftError, ValueError, TypeError, AttributeError):
        return None  # whoever loads it says what is wrong with it
    return CATALOG.get(name).max_tokens or None if name in CATALOG else None
