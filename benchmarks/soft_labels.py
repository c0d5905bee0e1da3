"""What soft labels bring: three simulated annotators, learned from as shares, by plurality, and one alone.

    python benchmarks/soft_labels.py --train banking77/train.csv --test banking77/test.csv --noise 0.2,0.4

Each annotator takes a row for another class with a chance that hangs on the row: drawn from a Beta distribution whose
mean is the noise, so that some rows are clear and some are not; the wrong class is drawn among the five whose training
texts lie nearest to those of the right one. The test rows keep their true labels. For each number of rows a class,
noise and draw (its seed is its number), a head and a blend are fitted on the vectors of the frozen backbone, by the
code that training phases run: on the shares of the votes, on the plurality (ties drawn), on the plurality smoothed by
as much as the shares are, on one annotator, and on the truth. Reported are accuracy and log loss against the true
labels of the test rows, and log loss against votes that such annotators cast on them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pandas as pd
from common import arguments, report
from few_labels import draw

from kft import runtime
from kft.data.shares import Shares
from kft.features.views.blend import Folding, fit_blend
from kft.features.views.view import Goal, Lesson, ViewInput
from kft.feed.source import Source
from kft.tasks.judgements import Judgements

ANNOTATORS, NEAR, SURE = 3, 5, 2.0
"""How many there are; classes that one is taken for; the sum of Beta's two parameters: the less, the more rows vary."""


def vote(classes: np.ndarray, near: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    """Returns ``int[n, annotators]``: what each says."""
    hard = rng.beta(SURE * noise, SURE * (1 - noise), len(classes))
    wrong = rng.random((len(classes), ANNOTATORS)) < hard[:, None]
    others = near[classes[:, None], rng.integers(0, NEAR, wrong.shape)]
    return np.where(wrong, others, classes[:, None])


def as_shares(votes: np.ndarray, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Returns shares ``float32[n, classes]``, and the class of each as kft takes it: the plurality, ties drawn."""
    judged = [Judgements.of_votes(names[place] for place in row) for row in votes]
    plurality = [names.index(each.plurality(str(row))) for row, each in enumerate(judged)]
    return Shares.of_judgements(judged).of(names), np.array(plurality)


def main() -> None:
    options = arguments(__doc__.splitlines()[0], draws=5, labels="10,26", noise="0.2,0.4")
    train, test = (pd.read_csv(path)[["text", "label"]] for path in (options.train, options.test))
    names = sorted(set(train["label"]))
    code = {name: place for place, name in enumerate(names)}
    runtime.start()
    encode = _encoder()
    seen_test, truth = encode(test["text"].tolist()), test["label"].map(code).to_numpy()
    seen_all, all_classes = encode(train["text"].tolist()), train["label"].map(code).to_numpy()
    near = _nearest(seen_all.unit, all_classes, len(names))
    train = train.assign(place=range(len(train)))
    found: dict[str, object] = {}
    for labels in map(int, options.labels.split(",")):
        for noise in map(float, options.noise.split(",")):
            runs = []
            for seed in range(options.draws):
                rng = np.random.default_rng(seed)
                rows = draw(train, labels, seed)["place"].to_numpy()
                cast = vote(truth, near, noise, rng)
                votes = vote(all_classes[rows], near, noise, rng)
                wanted = as_shares(cast, names)[0]
                targets = _targets(votes, all_classes[rows], names)
                runs.append({how: _judge(seen_all.take(rows), each, seed, seen_test, truth, wanted)
                             for how, each in targets.items()})  # fmt: skip
                print(f"{labels} a class, noise {noise}, draw {seed}: {runs[-1]}", file=sys.stderr, flush=True)
            found[f"{labels} a class, noise {noise}"] = _summed(runs)
    report("soft_labels", found, draws=options.draws)


def _targets(votes: np.ndarray, right: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
    shares, plurality = as_shares(votes, names)
    amount = 1 - shares.max(axis=1).mean()
    smooth = (1 - amount) * np.eye(len(names), dtype=np.float32)[plurality] + np.float32(amount / len(names))
    return {"shares": shares, "plurality": plurality, "smoothed": smooth, "one annotator": votes[:, 0], "truth": right}


def _judge(
    seen: ViewInput, targets: np.ndarray, seed: int, test: ViewInput, truth: np.ndarray, wanted: np.ndarray
) -> dict[str, dict[str, float]]:
    lesson = Lesson(seen, targets, Goal("softmax", wanted.shape[1]))
    strata = targets if targets.ndim == 1 else targets.argmax(axis=1)
    blend = fit_blend(lesson, Folding(strata, seed=seed)).blend
    (head,) = [view for view in blend.views if view.name == "linear"]
    found = {}
    for name, outputs in (("head", head.outputs(test)), ("blend", blend.outputs(test))):
        logs = lesson.goal.normalised(outputs).astype(np.float64)
        found[name] = {
            "accuracy": float((logs.argmax(axis=1) == truth).mean()),
            "log_loss": float(-logs[np.arange(len(truth)), truth].mean()),
            "soft_log_loss": float(-(wanted * logs).sum(axis=1).mean()),
        }
    return found


def _summed(runs: list[dict[str, dict[str, dict[str, float]]]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for model in ("head", "blend"):
        for metric in ("accuracy", "log_loss", "soft_log_loss"):
            values = {how: np.array([run[how][model][metric] for run in runs]) for how in runs[0]}
            gain = values["shares"] - values["plurality"]
            means = {how: round(float(each.mean()), 4) for how, each in values.items()}
            found[f"{model}, {metric}"] = means | {
                "shares less plurality": round(float(gain.mean()), 4),
                "of each draw": [round(float(each), 4) for each in gain],
            }
    return found


def _nearest(unit: np.ndarray, classes: np.ndarray, count: int) -> np.ndarray:
    centres = np.stack([unit[classes == place].mean(axis=0) for place in range(count)])
    alike = centres @ centres.T / np.linalg.norm(centres, axis=1)
    np.fill_diagonal(alike, -1)
    return np.argsort(-alike, axis=1)[:, :NEAR]


def _encoder() -> Callable[[list[str]], ViewInput]:
    from kft.features.vectors import pooled_vectors
    from kft.feed.batches import Ragged
    from kft.model.backbones import load_backbone
    from kft.model.encode import make_reader
    from kft.recipe.schema import FeaturesSpec, ModelSpec
    from kft.tasks.registry import TASKS

    spec, backbone = ModelSpec(), load_backbone("minilm-l6")
    reader = make_reader(TASKS.get("text-classification"), backbone, spec)

    def encode(texts: list[str]) -> ViewInput:
        source: Source = reader.read(texts).source
        tokens = source.columns["token_ids"]
        assert isinstance(tokens, Ragged)
        return ViewInput(pooled_vectors(backbone, {"these": source}, spec, FeaturesSpec())["these"], tokens)

    return encode


if __name__ == "__main__":
    main()
