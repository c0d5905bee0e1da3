"""What is seen of rows that a model answers once, for benchmarks/monitor.py.

    python benchmarks/monitor_rows.py films --to STORE [--foreign FILE]
    python benchmarks/monitor_rows.py products --to STORE
    python benchmarks/monitor_rows.py intents --to STORE --data FOLDER
    python benchmarks/monitor_rows.py photos --to STORE --data FOLDER

A probe is trained on some rows, exported, and answers the rows that it has not seen, and changed ones. ``--foreign`` is
a file of texts in another language, one a line. FOLDER holds train.csv and test.csv of BANKING77, of whose 77 classes
the probe learns 60; or of photos a folder a class.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=tuple(PREPARE))
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--foreign", type=Path)
    given = parser.parse_args()
    PREPARE[given.name](given)


def ratings(domain: str) -> pd.DataFrame:
    """Returns sentences that people rated below or above neutral, in random order."""
    from kft.assets import fetch
    from kft.packages import PACKAGES

    path = fetch(PACKAGES.get(f"{domain}-ratings"))
    frame = pd.read_csv(path, sep="\t", names=["id", "rating", "text"], quoting=3, dtype={"id": str},
                        encoding="utf-8", encoding_errors="replace")  # fmt: skip
    frame["label"] = np.where(frame.rating < 0, "negative", "positive")
    return frame[(frame.rating.abs() >= 0.25) & (frame.text.str.strip() != "")].sample(frac=1, random_state=0)


def prepare_films(given: argparse.Namespace) -> None:
    films, rng = ratings("films"), np.random.default_rng(0)
    own, rest = films.iloc[:2000], films.iloc[2000:9000]
    shipped = shipped_probe("text-classification", own, "text", given.to / "films")
    texts = rest.text.tolist()
    write_seen(given.to / "films", "clean", shipped, texts, rest.label.tolist())
    write_seen(given.to / "films", "typos", shipped, [typos(text, rng) for text in texts[:3000]])
    write_seen(given.to / "films", "tweets", shipped, ratings("tweets").text.tolist()[:3000])
    if given.foreign:
        lines = [line for line in given.foreign.read_text(encoding="utf-8").splitlines() if line.strip()]
        write_seen(given.to / "films", "language", shipped, lines[:1000])


def prepare_products(given: argparse.Namespace) -> None:
    products = ratings("reviews")
    own, rest = products.iloc[:1000], products.iloc[1000:]
    shipped = shipped_probe("text-classification", own, "text", given.to / "products")
    write_seen(given.to / "products", "clean", shipped, rest.text.tolist(), rest.label.tolist())
    write_seen(given.to / "products", "editorials", shipped, ratings("editorials").text.tolist()[:2000])


def prepare_intents(given: argparse.Namespace) -> None:
    every = pd.concat([pd.read_csv(given.data / f"{part}.csv") for part in ("train", "test")]).drop_duplicates("text")
    every = every.sample(frac=1, random_state=0)
    new = sorted(every.label.unique())[::4][:17]
    known, new_rows = every[~every.label.isin(new)], every[every.label.isin(new)]
    own, rest = known.iloc[:4000], known.iloc[4000:]
    shipped = shipped_probe("text-classification", own, "text", given.to / "intents")
    write_seen(given.to / "intents", "clean", shipped, rest.text.tolist(), rest.label.tolist())
    write_seen(given.to / "intents", "new", shipped, new_rows.text.tolist()[:1500])


def typos(text: str, rng: np.random.Generator) -> str:
    """Swaps, drops or adds a letter in a third of the words of four letters and more."""

    def mistyped(word: str) -> str:
        if len(word) < 4 or rng.random() > 1 / 3:
            return word
        at, kind = int(rng.integers(1, len(word) - 1)), int(rng.integers(3))
        swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        return (swapped, word[:at] + word[at + 1 :], word[:at] + chr(97 + int(rng.integers(26))) + word[at:])[kind]

    return " ".join(map(mistyped, text.split(" ")))


def prepare_photos(given: argparse.Namespace) -> None:
    import io

    from PIL import Image, ImageEnhance, ImageFilter

    paths = sorted(given.data.rglob("*.jpg"))
    rows = pd.DataFrame({"image": list(map(str, paths)), "label": [path.parent.name for path in paths]})
    rows = rows.sample(frac=1, random_state=0)
    own, rest = rows.iloc[:300], rows.iloc[300:]
    shipped = shipped_probe("image-classification", own, "image", given.to / "photos")

    def changed(path: str, change: Callable[[Image.Image], Image.Image]) -> bytes:
        content = io.BytesIO()
        change(Image.open(path).convert("RGB")).save(content, "JPEG", quality=92)
        return content.getvalue()

    photos = rest.image.tolist()
    write_seen(given.to / "photos", "clean", shipped, photos, rest.label.tolist())
    darker = partial(changed, change=lambda image: ImageEnhance.Brightness(image).enhance(0.6))
    blurred = partial(changed, change=lambda image: image.filter(ImageFilter.GaussianBlur(2)))
    write_seen(given.to / "photos", "darker", shipped, list(map(darker, photos[:400])))
    write_seen(given.to / "photos", "blurred", shipped, list(map(blurred, photos[:400])))


PREPARE = {"films": prepare_films, "products": prepare_products, "intents": prepare_intents, "photos": prepare_photos}


def shipped_probe(task: str, rows: Any, column: str, store: Path) -> Any:
    """Trains a probe, exports it and opens it."""
    import kft
    from kft.deploy.load import open_artifact

    store.mkdir(parents=True, exist_ok=True)
    rows[[column, "label"]].to_csv(store / "rows.csv", index=False)
    recipe = {
        "name": "watched",
        "task": task,
        "data": {"train": "rows.csv", "valid": "25%", "test": "15%", "columns": None},
        "model": {"backbone": "minilm-l6" if column == "text" else "efficientnet-lite0"},
        "train": {"phases": [{"name": "probe", "unfreeze": "none", "solver": "lbfgs"}]},
    }
    recipe["data"] = {key: value for key, value in recipe["data"].items() if value}
    run = kft.train(kft.load_recipe(recipe, base=store), run=store / "run", quiet=True).run
    kft.export(run, store / "artifact", format="onnx")
    return open_artifact(store / "artifact")


def write_seen(store: Path, name: str, shipped: Any, inputs: list[Any], truth: list[str] | None = None) -> None:
    began = time.process_time()
    seen, labels = shipped.see_usable(inputs).seen, list(shipped.about.labels)
    assert truth is None or len(seen) == len(truth)
    known = shipped.reference.known
    arrays = {f"values/{gauge}": values for gauge, values in seen.values.items()}
    arrays |= {"label": seen.label, "probabilities": seen.probabilities, "vectors": seen.vectors, "keys": seen.keys}
    arrays |= {"abstain": seen.abstain, "labels": np.array(labels), "known/vectors": known.vectors}
    if truth is not None:
        arrays["truth"] = np.array([labels.index(label) for label in truth])
    np.savez_compressed(store / f"{name}.npz", **arrays)
    print(f"{store.name} {name}: {len(seen):,} rows, {time.process_time() - began:.0f} CPU s", flush=True)


if __name__ == "__main__":
    main()
