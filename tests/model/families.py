"""Small folders of every Hugging Face family, with the weights whose outputs in `transformers` are on record."""

import json
from pathlib import Path

from safetensors.numpy import save_file

from kft.model.hugging_face import load_hugging_face, read_config
from tests.model.seeded import seeded_arrays

REFERENCES = json.loads((Path(__file__).parent / "reference_families.json").read_text(encoding="utf-8"))["families"]


def write_folder(folder: Path, name: str, *, drop: tuple[str, ...] = (), **changes: object) -> Path:
    """Writes a reference's folder, with keys of its configuration changed and tensors left out."""
    reference = REFERENCES[name]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**reference["config"], **changes}))
    arrays = {key: array for key, array in seeded_arrays(reference["shapes"]).items() if key not in drop}
    save_file(arrays, folder / "model.safetensors", {"format": "pt"})
    return folder


def load(folder: Path, **options: object) -> object:
    return load_hugging_face(folder, read_config(folder), dropout=0.1, **options)
