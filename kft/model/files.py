"""Which files a backbone is read from, and the sha256 of each: everything that decides what it answers.

Told from the folder alone, before TensorFlow loads. A file that lies outside the folder, or that Git LFS has not
fetched, is refused by name.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from kft.errors import ModelError
from kft.model.chats import JINJA
from kft.model.presets import is_preset
from kft.model.token_settings import ADDED, CONFIG, SPECIAL
from kft.model.tokenizers import BESIDE, SENTENCEPIECE_FILES
from kft.records.files import sha256_of

INDEX, WHOLE = "model.safetensors.index.json", "model.safetensors"
POINTER = (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/")
IMAGE_SETTINGS = ("preprocessor_config.json", "image_converter.json")


@dataclass(frozen=True)
class BackboneFiles:
    """What a backbone is read from.

    Attributes:
        hashes: sha256 by the file's name inside the folder.
        weights: Which of them hold the weights.
    """

    hashes: Mapping[str, str]
    weights: tuple[str, ...]

    @property
    def weights_hash(self) -> str:
        """sha256 of the weights' one file; of several, over their hashes in the order of their names."""
        hashes = [self.hashes[name] for name in sorted(self.weights)]
        return hashes[0] if len(hashes) == 1 else hashlib.sha256(" ".join(hashes).encode()).hexdigest()

    @property
    def hash(self) -> str:
        """sha256 over the names and hashes of all of them."""
        lines = [f"{name} {self.hashes[name]}" for name in sorted(self.hashes)]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def differences(self, known: Mapping[str, str]) -> list[str]:
        """Returns which files are not those of ``known``, and how."""
        found = []
        for name in sorted({*known, *self.hashes}):
            if name not in self.hashes:
                found.append(f"{name} is gone")
            elif name not in known:
                found.append(f"{name} is new")
            elif self.hashes[name] != known[name]:
                found.append(f"{name} was changed")
        return found


def backbone_files(path: Path) -> BackboneFiles:
    """Hashes all that a backbone is loaded from; each file once per process, while it stays as it is.

    Args:
        path: The folder, or the ``.keras``, ``.gguf`` or ``.pth`` file.

    Raises:
        ModelError: A file is missing, lies outside the folder, or is a Git LFS pointer.
    """
    if path.is_file():
        folder, weights = path.parent, [path.name]
        beside = _tokenizer_files(folder) if _reads_tokens(path) else []
    else:
        folder = path
        refuse_pointer(path / "config.json")
        weights, beside = _of_folder(path)
    hashes = {}
    for name in dict.fromkeys((*weights, *beside)):
        _require_inside(folder, name)
        refuse_pointer(folder / name)
    for name in dict.fromkeys((*weights, *beside)):
        hashes[name] = _sha256_of(folder / name)
    return BackboneFiles(hashes, tuple(weights))


def refuse_pointer(path: Path) -> None:
    """Refuses what Git LFS leaves in the place of a file that it has not fetched.

    Raises:
        ModelError: The file is such a pointer.
    """
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError:
        return  # whoever reads it says what is wrong
    if head.startswith(POINTER):
        raise ModelError(
            "this is a Git LFS pointer and not the file itself",
            where=str(path),
            received=f"{path.stat().st_size:,} bytes that name the file which Git LFS would fetch",
            expected="the file that it stands for",
            next_step="in the repository's folder: git lfs install, then git lfs pull",
        )


def shards_of(folder: Path, index: str, ending: str) -> list[str]:
    """Returns the files that an index names, all of which are there.

    Raises:
        ModelError: The index is damaged, or names a file that is missing or outside the folder.
    """
    path = folder / index
    refuse_pointer(path)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        named = values["weight_map"]
        found = [each for value in named.values() for each in (value if isinstance(value, list) else [value])]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _no_index(path, f"{type(error).__name__}: {error}") from None
    if not found:
        raise _no_index(path, "an empty weight_map")
    for name in found:
        if not isinstance(name, str) or not name.endswith(ending) or not _is_plain(name):
            raise _no_index(path, repr(name)[:80])
    names = sorted(set(found))
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise ModelError(
            "a file that the index of the weights names is missing",
            where=str(path),
            received="no file " + ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if missing[3:] else ""),
            expected="every file of the index in the folder",
            next_step="copy it from where the weights came from",
        )
    return names


def _is_plain(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return (
        name.isprintable() and "\\" not in name and ":" not in name and not name.startswith("/") and ".." not in parts
    )


def _no_index(path: Path, received: str) -> ModelError:
    return ModelError(
        "the index of the weights cannot be read",
        where=f"{path}, weight_map",
        received=received,
        expected="the names of tensors, each with the name of a file inside the folder",
        next_step="copy it from where the weights came from",
    )


def _of_folder(folder: Path) -> tuple[list[str], list[str]]:
    """Names what is read of a Hugging Face or a keras-hub folder: its weights, and the rest."""
    from kft.model.hugging_face import read_config, require_weights

    config = read_config(folder)
    if is_preset(folder, config):
        weights = _present(folder, ("model.weights.h5",))
        rest = ["config.json", *_present(folder, ("tokenizer.json", BESIDE, *IMAGE_SETTINGS))]
        if (folder / "model.weights.json").is_file():
            rest.append("model.weights.json")
            weights = sorted({*weights, *shards_of(folder, "model.weights.json", ".h5")})
        rest += sorted(file.relative_to(folder).as_posix() for file in (folder / "assets").rglob("*") if file.is_file())
        return weights, rest
    rest = ["config.json", *_tokenizer_files(folder), *_present(folder, IMAGE_SETTINGS)]
    for name in rest:  # first, because a folder of pointers may lack its weights as well
        refuse_pointer(folder / name)
    require_weights(folder)
    if (folder / INDEX).is_file():  # as keras-hub does, before the whole file
        return shards_of(folder, INDEX, ".safetensors"), [*rest, INDEX]
    return [WHOLE], rest


def _tokenizer_files(folder: Path) -> list[str]:
    """Names what ``load_tokenizer`` reads, in its order."""
    settings = _present(folder, (CONFIG, SPECIAL, ADDED, JINJA))
    for names in (("tokenizer.json",), ("vocab.json", "merges.txt"), *((name,) for name in SENTENCEPIECE_FILES)):
        if all((folder / name).is_file() for name in names):
            return [*settings, *names]
    return [*settings, *_present(folder, ("vocab.txt",))]


def _present(folder: Path, names: Sequence[str]) -> list[str]:
    return [name for name in names if (folder / name).is_file()]


def _reads_tokens(path: Path) -> bool:
    """Whether a person's own ``.keras`` file takes a text, and so the tokenizer beside it."""
    if path.suffix != ".keras":
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return b'"token_ids"' in archive.read("config.json")
    except (OSError, KeyError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile):
        return False  # it will not load either


def _require_inside(folder: Path, name: str) -> None:
    """Refuses a link that leaves the folder; those of the Hugging Face hub's cache lead to its own ``blobs``."""
    root, found = folder.resolve(), (folder / name).resolve()
    allowed = [root]
    if root.parent.name == "snapshots":
        allowed.append((root.parent.parent / "blobs").resolve())
    if not any(found.is_relative_to(each) for each in allowed):
        raise ModelError(
            "a file of the backbone lies outside its folder",
            where=str(folder / name),
            received=f"a link to {found}",
            expected="a file inside the folder",
            next_step="copy the file itself into the folder",
        )


def _sha256_of(path: Path) -> str:
    try:
        about = path.stat()
        return _hashed(str(path.resolve()), about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
    except OSError as error:
        raise ModelError(
            "a file of the backbone cannot be read",
            where=str(path),
            received=error.strerror or str(error),
            expected="a file",
            next_step="restore it, and see that you may read it",
        ) from None


@lru_cache(maxsize=4096)
def _hashed(path: str, *state: Any) -> str:
    """Hashes a file; ``state`` tells one content of it from the next."""
    return sha256_of(Path(path))
