"""Models and what they say of rows that have moved: made once for estimates.py, which needs nothing but NumPy then.

    python benchmarks/shifted.py --data FOLDER --to scores [--run RUN] [NAME...]

``--data`` holds banking77, debian_sections, kernel_docs (each train.csv and test.csv, columns text and label) and
grocery_vegetables (train/ and test/, a folder a class). Ratings of products, films, editorials and tweets are fetched
as kft's packages; a rating within a quarter of a point around 0 is neutral. Each model is a probe, a blend or two tuned
epochs on MiniLM-L6 (photos: efficientnet-lite0), calibrated on its valid rows as kft does. ``b77`` is a finished run on
banking77, such as that of recipes/support/intents.yaml, named by ``--run``. Stored of each set of rows: probabilities,
truth, the cosine distance to the nearest of 500 valid vectors, the number of words, the text.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageEnhance, ImageFilter

PROBE = {"name": "probe", "unfreeze": "none", "solver": "lbfgs"}
BLEND = {"name": "blend", "unfreeze": "none", "solver": "blend"}
DEEP = {"name": "deep", "unfreeze": "top-3", "epochs": 2, "lr": 1e-4, "start": "probe"}
PHASES = {"probe": [PROBE], "blend": [PROBE, BLEND], "deep": [PROBE, DEEP]}
HOW = {
    "products": "probe", "films": "blend", "tweets": "deep", "editorials": "blend", "films2": "deep",
    "banking60": "blend", "banking10": "blend", "debian": "blend", "kernel": "probe",
    "photos": "probe", "photos2": "probe", "b77": "",
}  # fmt: skip
RATINGS = {"products": 2000, "films": 2500, "tweets": 2000, "editorials": 2500}
"""Domains, and how many rows of each are for training."""
Change = Callable[[str], str]


def ratings(domain: str, binary: bool) -> pd.DataFrame:
    """Returns rated sentences of one domain; ``binary`` leaves the neutral ones out."""
    from kft.assets import fetch
    from kft.packages import PACKAGES

    frame = pd.read_csv(
        fetch(PACKAGES.get(f"{domain}-ratings")), sep="\t", names=["id", "rating", "text"], quoting=3,
        dtype={"id": str}, encoding="utf-8", encoding_errors="replace",
    )  # fmt: skip
    frame["group"] = frame.id.str.split("_").str[0]
    frame["label"] = np.select([frame.rating < -0.25, frame.rating >= 0.25], ["negative", "positive"], "neutral")
    kept = frame[frame.text.str.strip() != ""]
    return kept[kept.label != "neutral"].reset_index(drop=True) if binary else kept.reset_index(drop=True)


def text_changes(rng: np.random.Generator) -> dict[str, Change]:
    """Returns what is done to texts: typos in 30 % and 80 % of the longer words, words lost, and the like."""

    def mistyped(word: str) -> str:
        at, kind = rng.integers(1, len(word) - 1), rng.integers(3)
        if kind == 0:
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        return word[:at] + (word[at + 1 :] if kind == 1 else chr(97 + rng.integers(26)) + word[at:])

    def typos(text: str, share: float = 0.3) -> str:
        return " ".join(mistyped(word) if len(word) > 3 and rng.random() < share else word for word in text.split(" "))

    def dropped(text: str) -> str:
        words = text.split(" ")
        return " ".join(word for word in words if rng.random() < 0.6) or words[0]

    def shuffled(text: str) -> str:
        words = text.split(" ")
        rng.shuffle(words)
        return " ".join(words)

    return {
        "typos": typos, "heavy_typos": lambda text: typos(text, 0.8), "capitals": str.upper, "dropped": dropped,
        "first5": lambda text: " ".join(text.split()[:5]), "shuffled": shuffled,
        "half_typos": lambda text: typos(text) if rng.random() < 0.5 else text,
        "synopsis": lambda text: text.split("\n")[0],
    }  # fmt: skip


def photo_changes(rng: np.random.Generator, folder: Path) -> dict[str, Change]:
    """Returns what is done to photos: each takes a path and returns that of the changed photo."""

    def small(image: Image.Image, side: int = 260) -> Image.Image:
        scale = side / min(image.size)
        return image.resize((round(image.width * scale), round(image.height * scale)))

    def noisy(image: Image.Image) -> Image.Image:
        pixels = np.asarray(small(image)).astype(float)
        return Image.fromarray(np.clip(pixels + rng.normal(0, 35, pixels.shape), 0, 255).astype("uint8"))

    def zoomed(image: Image.Image) -> Image.Image:
        large = small(image, 360)
        return large.crop((large.width // 5, large.height // 5, large.width * 4 // 5, large.height * 4 // 5))

    changes: dict[str, Callable[[Image.Image], Image.Image]] = {
        "dark": lambda image: ImageEnhance.Brightness(small(image)).enhance(0.35),
        "very_dark": lambda image: ImageEnhance.Brightness(small(image)).enhance(0.15),
        "blur": lambda image: small(image).filter(ImageFilter.GaussianBlur(2)),
        "heavy_blur": lambda image: small(image).filter(ImageFilter.GaussianBlur(5)),
        "noise": noisy,
        "low_contrast": lambda image: ImageEnhance.Contrast(small(image)).enhance(0.4),
        "small": lambda image: small(small(image, 48)),
        "flipped": lambda image: small(image).transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        "turned": lambda image: small(image).rotate(15),
        "grey": lambda image: small(image).convert("L").convert("RGB"),
        "zoomed": zoomed,
    }

    def on_disk(name: str, change: Callable[[Image.Image], Image.Image]) -> Change:
        def changed(path: str) -> str:
            target = folder / name / f"{Path(path).parent.name}_{Path(path).name}"
            target.parent.mkdir(parents=True, exist_ok=True)
            change(Image.open(path).convert("RGB")).save(target, quality=92)
            return str(target)

        return changed

    return {name: on_disk(name, change) for name, change in changes.items()}


def photo_rows(folder: Path) -> pd.DataFrame:
    """Returns the photos below a folder that has one folder a class."""
    paths = sorted(folder.rglob("*.jpg"))
    return pd.DataFrame({"text": [str(path) for path in paths], "label": [path.parent.name for path in paths]})


def rows_of(name: str, data: Path, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Returns a model's training rows, its test rows, and rows of other domains."""
    if name.rstrip("2") in RATINGS:
        domain, binary = name.rstrip("2"), name.endswith("2")
        frame = ratings(domain, binary)
        groups, sizes = frame.group.unique(), frame.group.value_counts()
        rng.shuffle(groups)
        inside = frame.group.isin(groups[np.cumsum([sizes[group] for group in groups]) <= RATINGS[domain]])
        others = {each: ratings(each, binary).sample(800, random_state=1) for each in RATINGS if each != domain}
        test = frame[~inside]
        return frame[inside], test.sample(min(len(test), 1800), random_state=0), others
    if name.startswith("photos"):
        train, test = ("train", "test") if name == "photos" else ("test", "train")
        return *(photo_rows(data / "grocery_vegetables" / part) for part in (train, test)), {}
    folder = data / {"debian": "debian_sections", "kernel": "kernel_docs"}.get(name, "banking77")
    train, test = (pd.read_csv(folder / f"{part}.csv", dtype=str, keep_default_na=False) for part in ("train", "test"))
    if name not in ("banking60", "banking10"):
        return train, test, {}
    labels = sorted(train.label.unique())
    rng.shuffle(labels)
    known = train[train.label.isin(labels[:60])]
    known = known.groupby("label").head(12) if name == "banking10" else known
    return known, test[test.label.isin(labels[:60])], {"new": test[test.label.isin(labels[60:])]}


def trained(name: str, train: pd.DataFrame, data: Path, folder: Path) -> Path:
    """Trains a model where its run is not there yet; returns the run folder."""
    import kft

    run = folder / "run"
    if run.exists():
        return run
    recipe: dict[str, Any] = {"model": {"backbone": "minilm-l6"}, "train": {"phases": PHASES[HOW[name]]}}
    if name.startswith("photos"):
        photos = data / "grocery_vegetables" / ("train" if name == "photos" else "test")
        recipe |= {
            "task": "image-classification",
            "model": {"backbone": "efficientnet-lite0", "image": {"fit": "crop"}},
        }
        recipe["data"] = {"train": str(photos), "valid": "15%", "keep_together": "similar"}
    else:
        rows = train.sample(frac=1, random_state=0)
        column = next((each for each in ("source", "group") if each in rows), None)
        groups = rows[column] if column else pd.Series(np.arange(len(rows)), index=rows.index)
        valid = groups.isin(groups.unique()[: max(1, int(0.15 * groups.nunique()))])
        recipe |= {"task": "text-classification", "data": {}}
        for part, inside in (("train", ~valid), ("valid", valid)):
            rows[inside][["text", "label"]].to_csv(folder / f"{part}.csv", index=False)
            recipe["data"][part] = str(folder / f"{part}.csv")
    kft.train(recipe, run=run, quiet=True)
    return run


def store(name: str, data: Path, to: Path, run: Path | None) -> None:
    """Scores every set of rows of one model and stores what it says."""
    from kft.answer.load import load_artifact, read_run
    from kft.metrics.neighbours import unit_rows
    from kft.records.run_folder import RunFolder

    rng, folder = np.random.default_rng(sum(map(ord, name))), to / name
    folder.mkdir(parents=True, exist_ok=True)
    train, test, others = rows_of(name, data, rng)
    run = run if name == "b77" and run else trained(name, train, data, folder)
    artifact = load_artifact(read_run(RunFolder(run)))
    labels = list(artifact.space.labels)
    place = {label: number for number, label in enumerate(labels)}

    def said(inputs: list[str]) -> tuple[np.ndarray, np.ndarray]:
        answers, vectors = artifact.answers_and_vectors(inputs)
        return artifact.decisions.temperature.apply(np.asarray(answers)), unit_rows(np.asarray(vectors, np.float32))

    _, vectors = said(valid_inputs(run, folder, train))
    known = vectors[np.random.default_rng(0).permutation(len(vectors))[:500]]
    kept: dict[str, Any] = {"labels": np.array(labels)}

    def add(kind: str, rows: pd.DataFrame, inputs: list[str]) -> None:
        probabilities, vectors = said(inputs)
        kept[f"{kind}/p"], kept[f"{kind}/far"] = probabilities.astype(np.float32), 1 - (vectors @ known.T).max(axis=1)
        kept[f"{kind}/y"] = np.array([place.get(label, -1) for label in rows.label], np.int32)
        kept[f"{kind}/words"] = np.array([len(text.split()) for text in rows.text], np.int32)
        kept[f"{kind}/text"] = np.array(rows.text.tolist(), dtype=str)
        right = float((probabilities.argmax(axis=1) == kept[f"{kind}/y"]).mean())
        print(f"{name} {kind}: {len(rows)} rows, accuracy {right:.3f}", flush=True)

    test = test.sample(frac=1, random_state=3).reset_index(drop=True)
    kept["half"] = len(test) // 2
    add("test", test, test.text.tolist())
    half = test.iloc[len(test) // 2 :].head(900)
    for kind, change in changes_for(name, rng, folder).items():
        add(f"corrupt_{kind}", half, [change(text) for text in half.text])
    for kind, rows in others.items():
        add(f"domain_{kind}", rows, rows.text.tolist())
    np.savez(to / f"{name}.npz", **kept)


def changes_for(name: str, rng: np.random.Generator, folder: Path) -> dict[str, Change]:
    """Returns the corruptions of one model's rows."""
    if name.startswith("photos"):
        return photo_changes(rng, folder)
    long = {"debian": ("typos", "heavy_typos", "capitals", "first5", "synopsis"), "kernel": ("typos", "first5")}
    found = text_changes(rng)
    return {each: found[each] for each in long.get(name, [each for each in found if each != "synopsis"])}


def valid_inputs(run: Path, folder: Path, train: pd.DataFrame) -> list[str]:
    """Returns the texts, or paths, of a run's valid rows."""
    if (folder / "valid.csv").is_file():
        return pd.read_csv(folder / "valid.csv", dtype=str, keep_default_na=False).text.tolist()
    split = pd.read_parquet(run / "splits.parquet")
    ids = split[split.split == "valid"].iloc[:, 0].astype(str)
    if train.text.str.endswith(".jpg").all():
        ends = {"/".join(Path(path).parts[-2:]): path for path in train.text}
        return [ends["/".join(Path(each).parts[-2:])] for each in ids]
    return train.text.iloc[ids.str.extract(r"(\d+)$")[0].astype(int) - 1].tolist()


def main() -> None:
    """Makes what is asked for, model by model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--run", type=Path, help="a finished run on banking77, for b77")
    parser.add_argument("names", nargs="*", choices=[*HOW, []], default=list(HOW))
    asked = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in asked.names:
        if name == "b77" and asked.run is None:
            sys.exit("b77 needs --run: a finished run on banking77")
        store(name, asked.data, asked.to, asked.run)


if __name__ == "__main__":
    main()
