"""Data for every task, with something planted that can be learned."""

import json

import numpy as np
from PIL import Image

from tests import tiny


def words(rng, *wanted):
    """A text with these words somewhere in it."""
    chosen = list(rng.choice(tiny.PLAIN, size=rng.integers(3, 9)))
    for word in wanted:
        chosen.insert(int(rng.integers(0, len(chosen) + 1)), word)
    return " ".join(map(str, chosen))


def text_row(task, rng):
    good, bad = int(rng.integers(0, 2)), int(rng.integers(0, 2))
    said = [str(rng.choice(tiny.GOOD))] * good + [str(rng.choice(tiny.BAD))] * bad
    text = words(rng, *said)
    if task == "text-multi-label":
        return {"text": text, "labels": ["praise"] * good + ["blame"] * bad}
    if task == "text-regression":
        return {"text": text, "rating": 3.0 + good - bad}
    if task == "text-pairs":
        second = words(rng, str(rng.choice(tiny.GOOD if good else tiny.BAD)))
        return {"text1": text, "text2": second, "label": "kind" if good else "unkind"}
    spans = [
        {
            "start": text.index(word),
            "end": text.index(word) + len(word),
            "label": "PRAISE" if word in tiny.GOOD else "BLAME",
        }
        for word in said
    ]
    return {"text": text, "spans": spans}


def photo(path, rng, *colors):
    """Noise, with a square of each colour."""
    pixels = rng.integers(90, 130, (32, 32, 3))
    for color in colors:
        top = 16 * color
        pixels[top : top + 14, 4:28] = (220, 30, 30) if color == 0 else (30, 30, 220)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def write_data(task, folder):
    """Writes labelled data for a task; returns what `kft init` is given, and one input."""
    rng = np.random.default_rng(0)
    if task == "image-classification":
        for row in range(120):
            photo(folder / "photos" / ("red", "blue")[row % 2] / f"{row}.png", rng, row % 2)
        return "photos", ["photos/red/0.png"]
    if task == "image-multi-label":
        lines = ["image,labels"]
        for row in range(120):
            colors = [color for color in (0, 1) if rng.integers(0, 2)]
            photo(folder / "photos" / f"{row}.png", rng, *colors)
            lines.append(f"photos/{row}.png," + "|".join(("red", "blue")[color] for color in colors))
        (folder / "photos.csv").write_text("\n".join(lines), encoding="utf-8")
        return "photos.csv", ["photos/0.png"]
    rows = [text_row(task, rng) for _ in range(320)]
    (folder / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    if task == "text-pairs":
        return "rows.jsonl", ["the phone is", "--pair", "it was great"]
    return "rows.jsonl", ["the battery was great"]
