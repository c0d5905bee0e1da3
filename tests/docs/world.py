"""What the pages of the site take as given: a person's files, runs, artifacts; small, and real where it can be."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

import kft
from kft import assets
from kft.data.reading import read_table
from tests import tiny

RECIPE = """task: text-classification
data: {train: tickets.csv, text: text, label: label}
model: {backbone: minilm-l6, blocks: 2, max_tokens: 32}
train: {phases: [{name: top, unfreeze: top-1, epochs: 2, lr: 1.0e-4}]}
"""


def reviews(first: int, number: int) -> pd.DataFrame:
    """Sentences of product reviews with two labels: columns text, label."""
    table = read_table(assets.locate("package:reviews-ratings", Path.cwd()), columns=["id", "rating", "text"])
    table["rating"] = table["rating"].astype(float)
    sure = table[(table["rating"].abs() > 1) & (table["text"].str.len() > 20)].drop_duplicates("text")
    label = np.where(sure["rating"] > 0, "praise", "complaint")
    return pd.DataFrame({"text": sure["text"], "label": label}).iloc[first : first + number]


class World:
    """A folder, and what can be put into it by name. A run is trained once, and copied."""

    def __init__(self, store: Path) -> None:
        self.store = store
        """What was made before, for other pages."""

    def __call__(self, *names: str) -> None:
        """Puts things into the current folder."""
        for name in names:
            target = Path(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                self._make(name, target)

    def _make(self, name: str, target: Path) -> None:
        stem = target.name.split(".")[0]
        makers: dict[str, Callable[[Path], object]] = {
            "recipe.yaml": lambda path: path.write_text(RECIPE),
            "intents.yaml": lambda path: path.write_text(RECIPE.replace("blocks: 2, ", "")),
            "tickets.csv": lambda path: reviews(0, 200).to_csv(path, index=False),
            "today.csv": lambda path: reviews(400, 300)[["text"]].to_csv(path, index=False),
            "labelled.csv": lambda path: reviews(700, 200).to_csv(path, index=False),
            "token.txt": lambda path: path.write_text("a" * 40 + "\n"),
            "my-bert": tiny.write_backbone,
            "handbook": self._handbook,
            "photos": self._photos,
            "articles.csv": lambda path: self._articles().to_csv(path, index=False),
            "tickets-onnx": self._copied("tickets-onnx", lambda path: kft.export(self._run(), path, quiet=True)),
            "tickets": lambda path: kft.promote(self._artifact(), "tickets"),
        }
        if name.startswith("runs/"):
            shutil.copytree(self._run(), target)
        elif target.name in ("train.csv", "valid.csv", "test.csv", "queries.csv"):
            self._queries(("train", "valid", "test", "queries").index(stem)).to_csv(target, index=False)
        else:
            makers[target.name](target)

    def _run(self) -> Path:
        """A run, trained once."""
        if not (self.store / "run").exists():
            reviews(0, 200).to_csv(self.store / "tickets.csv", index=False)
            (self.store / "recipe.yaml").write_text(RECIPE)
            kft.train(self.store / "recipe.yaml", run=self.store / "run", quiet=True)
        return self.store / "run"

    def _artifact(self) -> Path:
        self._copied("tickets-onnx", lambda path: kft.export(self._run(), path, quiet=True))(self.store / "of-shelf")
        return self.store / "of-shelf"

    def _copied(self, name: str, make: Callable[[Path], object]) -> Callable[[Path], object]:
        def put(target: Path) -> None:
            if not (self.store / name).exists():
                make(self.store / name)
            shutil.copytree(self.store / name, target, dirs_exist_ok=True)

        return put

    @staticmethod
    def _articles() -> pd.DataFrame:
        texts = reviews(0, 160)["text"].tolist()
        return pd.DataFrame({"id": [f"page-{number}.txt" for number in range(160)], "text": texts})

    def _queries(self, part: int) -> pd.DataFrame:
        """Every fourth article by words of its own."""
        articles = self._articles().iloc[part::4]
        words = [" ".join(text.split()[1:7]) for text in articles["text"]]
        return pd.DataFrame({"query": words, "document": articles["id"]})

    @staticmethod
    def _photos(folder: Path) -> None:
        """Two classes that their colour tells apart."""
        random = np.random.default_rng(0)
        for name, channel in (("tomato", 0), ("cucumber", 1)):
            (folder / name).mkdir(parents=True)
            for number in range(30):
                pixels = random.integers(0, 120, (64, 64, 3), np.uint8)
                pixels[..., channel] += 120
                Image.fromarray(pixels).save(folder / name / f"{number}.png")

    @staticmethod
    def _handbook(folder: Path) -> None:
        folder.mkdir()
        (folder / "returns.md").write_text(
            "# Returns\n\nA parcel may be returned for 30 days. The sender pays for it.\n"
        )
        (folder / "cards.txt").write_text("A lost card is blocked at once. A new one takes five working days.\n")
        for name, text in World._articles().itertuples(index=False):
            (folder / name).write_text(text + "\n")
