"""Artifacts for tests: the files of one, whatever they hold, with an artifact.json that vouches for them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

FILES = {
    "model.onnx": b"a graph" * 1000,
    "tokenizer.json": b"{}",
    "run.py": b"print('an answer')\n",
    "card.md": b"# tickets\n",
    "golden.jsonl": b'{"input": "a", "label": "b"}\n',
    "nested/deep/vectors.bin": bytes(range(256)) * 40,
}


def write_artifact(folder: Path, seed: int = 0, **changes: Any) -> Path:
    """Writes an artifact; another seed is another model."""
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content + (str(seed).encode() if name == "model.onnx" else b""))
    return vouch(folder, **changes)


def vouch(folder: Path, **changes: Any) -> Path:
    """Writes artifact.json for the files that are there."""
    (folder / "artifact.json").unlink(missing_ok=True)
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "model.sig")
    files = {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    values = {
        "schema_version": 1,
        "name": "tickets",
        "version": "0123456789ab",
        "task": "text-classification",
        "format": "onnx",
        "receipt": {"created": "2026-11-28T12:00:00+00:00", "recipe_hash": "r" * 64, "seed": 7},
        **changes,
        "files": files,
    }
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    values["digest"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "artifact.json").write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n")
    return folder
