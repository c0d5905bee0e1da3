"""Artifacts for tests: the files of one, whatever they hold, with an artifact.json that vouches for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from kft.deploy.lookup import resolve
from kft.deploy.standing import ShelfReference
from kft.records.shipped import About, Parity, Preprocessing, write_about
from tests.records.made import RECEIPT

FILES = {
    "model.onnx": b"a graph" * 1000,
    "tokenizer.json": b"{}",
    "run.py": b"print('an answer')\n",
    "card.md": b"# tickets\n",
    "golden.jsonl": b'{"input": "a", "label": "b"}\n',
    "nested/deep/vectors.bin": bytes(range(256)) * 40,
}
ABOUT = About(
    name="tickets",
    version="",
    created="2026-11-28T12:00:00+00:00",
    task="text-classification",
    answers="class",
    labels=("bad", "good"),
    format="onnx",
    model="model.onnx",
    inputs=("token_ids",),
    outputs=("probabilities",),
    reader=Preprocessing("text", 24),
    packages=("numpy>=2,<3",),
    checkpoint="e" * 64,
    calibration=None,
    metrics={},
    gates={},
    parity=Parity(200, 240, 16, 1e-5, 1e-7, 0),
    receipt=RECEIPT,
)


def write_artifact(folder: Path, seed: int = 0, **changes: Any) -> Path:
    """Writes an artifact; another seed is another model."""
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content + (str(seed).encode() if name == "model.onnx" else b""))
    return vouch(folder, **changes)


def vouch(folder: Path, **changes: Any) -> Path:
    """Writes artifact.json for the files that are there, as an export would: that knows no signature."""
    signature = folder / "model.sig"
    content = signature.read_bytes() if signature.exists() else None
    signature.unlink(missing_ok=True)
    write_about(folder, replace(ABOUT, **changes))
    if content is not None:
        signature.write_bytes(content)
    return folder


def at(to: ShelfReference, pick: str | int = "champion") -> Path:
    """The folder of a version that stands on a shelf."""
    return resolve(f"{to.shelf}/{to.name}@{pick}")
