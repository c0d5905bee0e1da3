"""From the name of a backbone to its files on this disk: catalog, package, Hugging Face, Kaggle, or a path.

A name is judged without TensorFlow and without a network. A remote source is looked for on disk first; then its host
must answer within seconds, because the libraries that download retry for half a minute.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import socket
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from kft import assets
from kft.errors import AssetError, KftError, ModelError
from kft.model.catalog import CATALOG
from kft.model.gguf_gemma import SUFFIX
from kft.packages import PACKAGES
from kft.registry import nearest

Report = Callable[[str], None]
HUGGING_FACE, KAGGLE, PRESET = "hf://", "kaggle://", "keras-hub:"
OWN_FILES = (".keras", SUFFIX)
CONNECT_SECONDS = 5
HUB_FILES = ("*.json", "*.txt", "*.model", "model*.safetensors", "README.md")
PRESET_FILES = ("*.json", "*.h5", "assets/*", "README.md")


def source_of(name: str) -> str:
    """Returns the source behind a name: of a catalog entry its own, of a keras-hub preset ``keras-hub:NAME``.

    Example:
        >>> source_of("minilm-l6"), source_of("bert_tiny_en_uncased")
        ('package:minilm-l6', 'keras-hub:bert_tiny_en_uncased')
    """
    if name in CATALOG:
        return CATALOG.get(name).source
    return f"{PRESET}{name}" if re.fullmatch(r"[\w.]+", name) and name in preset_handles() else name


def terms_of(name: str) -> str | None:
    """Returns the name of the terms of use that a backbone's weights come under, as far as kft itself fetches them.

    Example:
        >>> terms_of("gemma3-270m"), terms_of("minilm-l6")
        ('gemma', None)
    """
    source = source_of(name)
    if not source.startswith(assets.PACKAGE):
        return None
    return PACKAGES.get(source.removeprefix(assets.PACKAGE)).terms


def resolve_backbone(name: str, base: Path) -> str:
    """Returns the name of a backbone as it holds from any folder: a path becomes absolute, the rest stays.

    Refuses an unknown one at once, before anything is loaded or fetched.

    Args:
        name: What the recipe says.
        base: The recipe's folder, where a relative path starts.

    Raises:
        ModelError: It is no catalog name, preset or source, and there is no such file or folder.
    """
    source = source_of(name)
    if source.startswith((assets.PACKAGE, HUGGING_FACE, KAGGLE, PRESET)):
        _check_remote(source)
        return name
    relative = base / Path(name).expanduser()
    return str((relative if _is_own(relative) else own_path(name)).resolve())


def own_path(name: str) -> Path:
    """Returns a person's own folder, ``.keras`` or ``.gguf`` file.

    Raises:
        ModelError: There is none of that name.
    """
    path = Path(name).expanduser()
    if _is_own(path):
        return path
    hint = nearest(name, (*CATALOG.names(), *preset_handles()))
    raise ModelError(
        f"unknown backbone {name!r}" + (f"; did you mean {hint!r}?" if hint else ""),
        where="model.backbone",
        received=name,
        expected=f"one of {', '.join(CATALOG.names())}; a keras-hub preset; hf://owner/repo; kaggle://...; or the path "
        "of a Hugging Face folder, a keras-hub preset folder, a .keras or a .gguf file",
        next_step="kft models",
    )


def _is_own(path: Path) -> bool:
    return path.is_dir() or (path.suffix in OWN_FILES and path.is_file())


def _check_remote(source: str) -> None:
    """Refuses a remote source whose form cannot be right."""
    if source.startswith(PRESET):
        kaggle_handle(source.removeprefix(PRESET))
        return
    forms = {HUGGING_FACE: (r"[\w.-]+/[\w.-]+", "hf://owner/repo")}
    forms[KAGGLE] = (r"[\w.-]+/[\w.-]+/keras/[\w.-]+(/\d+)?", "kaggle://owner/model/keras/variant, or with /version")
    for prefix, (pattern, expected) in forms.items():
        if source.startswith(prefix) and not re.fullmatch(pattern, source.removeprefix(prefix)):
            raise ModelError(
                "this source does not have the right form", where="model.backbone", received=source, expected=expected
            )


@lru_cache
def preset_handles() -> dict[str, str]:
    """Returns keras-hub's preset names and their Kaggle handles, read from its source without importing it."""
    found = importlib.util.find_spec("keras_hub")
    handles: dict[str, str] = {}
    for root in found.submodule_search_locations or () if found else ():
        for path in sorted(Path(root).glob("src/models/*/*_presets.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Dict):
                    handles.update(_handles(node))
    return handles


def _handles(node: ast.Dict) -> dict[str, str]:
    """Entries of the form ``"name": {..., "kaggle_handle": "kaggle://..."}``."""
    found = {}
    for key, value in zip(node.keys, node.values, strict=True):
        if not (isinstance(key, ast.Constant) and isinstance(value, ast.Dict)):
            continue
        for inner, handle in zip(value.keys, value.values, strict=True):
            named = isinstance(inner, ast.Constant) and inner.value == "kaggle_handle"
            if named and isinstance(handle, ast.Constant):
                found[str(key.value)] = str(handle.value)
    return found


def kaggle_handle(preset: str) -> str:
    """Returns where Kaggle keeps a keras-hub preset.

    Raises:
        ModelError: keras-hub has no such preset.
    """
    handles = preset_handles()
    if preset not in handles:
        hint = nearest(preset, handles)
        raise ModelError(
            f"unknown keras-hub preset {preset!r}" + (f"; did you mean {hint!r}?" if hint else ""),
            where="model.backbone",
            received=f"{PRESET}{preset}",
            expected=f"one of keras-hub's {len(handles)} presets",
            next_step="kft models",
        )
    return handles[preset]


def on_disk(source: str) -> bool:
    """Whether a source's files already lie on this disk, whole."""
    if source.startswith(assets.PACKAGE):
        return assets.is_cached(PACKAGES.get(source.removeprefix(assets.PACKAGE)))
    if source.startswith((HUGGING_FACE, KAGGLE, PRESET)):
        return _cached_folder(source) is not None
    return _is_own(Path(source).expanduser())


def _cached_folder(source: str) -> Path | None:
    """Where the caches of huggingface_hub and kagglehub hold a source."""
    if source.startswith(HUGGING_FACE):
        from huggingface_hub import try_to_load_from_cache

        repo = source.removeprefix(HUGGING_FACE)
        for weights in ("model.safetensors", "model.safetensors.index.json", "model.weights.h5"):
            paths = [try_to_load_from_cache(repo, name) for name in ("config.json", weights)]
            if all(isinstance(path, str) for path in paths) and _has_all_parts(Path(str(paths[1]))):
                return Path(str(paths[0])).parent
        return None
    handle = kaggle_handle(source.removeprefix(PRESET)) if source.startswith(PRESET) else source
    cache = Path(os.environ.get("KAGGLEHUB_CACHE") or Path.home() / ".cache" / "kagglehub").expanduser()
    folder = cache / "models" / handle.removeprefix(KAGGLE)
    # kagglehub writes this mark beside a folder that is whole.
    return folder if (folder.parent / f"{folder.name}.complete").is_file() else None


def _has_all_parts(weights: Path) -> bool:
    """Whether the files that an index names are there as well: a download may have been cut off."""
    if weights.suffix != ".json":
        return True
    parts = set(json.loads(weights.read_text(encoding="utf-8")).get("weight_map", {}).values())
    return all((weights.parent / part).is_file() for part in parts)


def fetch_backbone(name: str, report: Report | None = None) -> Path:
    """Returns a backbone's local folder or file, fetching it the first time.

    Args:
        name: A catalog name, a preset, a source, or a path.
        report: Called with a line when something is downloaded.

    Raises:
        ModelError: The name is unknown.
        AssetError: It could not be fetched.
        UsageError: It comes under terms that nobody has accepted here.
    """
    source = source_of(name)
    if source.startswith(assets.PACKAGE):
        return assets.fetch(PACKAGES.get(source.removeprefix(assets.PACKAGE)), report=report)
    if not source.startswith((HUGGING_FACE, KAGGLE, PRESET)):
        return own_path(name)
    _check_remote(source)
    found = _cached_folder(source)
    if found:  # no look at the network: a run must not change because someone pushed
        return found
    try:
        return _download(name, source, report)
    except KftError:
        raise
    except Exception as error:  # whatever the libraries and their transports raise
        raise _not_fetched(name, source, str(error).strip().split("\n")[0] or type(error).__name__) from error


def _download(name: str, source: str, report: Report | None) -> Path:
    say = report or (lambda line: None)
    if source.startswith(HUGGING_FACE):
        import huggingface_hub

        repo = source.removeprefix(HUGGING_FACE)
        _reach(name, source, os.environ.get("HF_ENDPOINT", "https://huggingface.co"))
        say(f"{source}: fetching, once")
        config = Path(huggingface_hub.hf_hub_download(repo, "config.json"))
        files = PRESET_FILES if '"registered_name"' in config.read_text(encoding="utf-8") else HUB_FILES
        return Path(huggingface_hub.snapshot_download(repo, allow_patterns=list(files)))
    import kagglehub

    handle = kaggle_handle(source.removeprefix(PRESET)) if source.startswith(PRESET) else source
    _reach(name, source, "https://api.kaggle.com")
    say(f"{source}: fetching, once")
    return Path(kagglehub.model_download(handle.removeprefix(KAGGLE)))


def _reach(name: str, source: str, url: str) -> None:
    """Refuses a source whose host, or the proxy before it, does not answer soon."""
    from urllib.request import getproxies

    parts = urlsplit(getproxies().get("https") or url)
    host, port = parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443)
    try:
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        reason = f"{host} does not answer: {error.strerror or error}"
        raise _not_fetched(name, source, reason) from None


def _not_fetched(name: str, source: str, reason: str) -> AssetError:
    gated = any(word in reason.lower() for word in ("401", "403", "gated", "restricted", "credentials", "accept"))
    step = (
        "connect to a network once, or give the path of a folder that you copied; kft models --json says what is here"
    )
    if gated:
        step = "accept the licence on the model's page, then log in: hf auth login, or ~/.kaggle/kaggle.json"
    return AssetError(
        f"the backbone {name} could not be fetched, and is not on this disk",
        where=source,
        received=reason,
        expected="files of the model, from the network or from the cache",
        next_step=step,
    )
