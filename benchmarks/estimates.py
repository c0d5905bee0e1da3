"""Accuracy without labels, with 50, and class shares, on real shifts: do the intervals hold the truth?

    python benchmarks/shifted.py --data FOLDER --to scores      # once: trains the models, stores what they say
    python benchmarks/estimates.py --scores scores

Twelve models; half of the test rows of each are the reference. New rows: the other half as it is, slices of it (short,
long, negations), three draws with other class shares, corruptions, other domains, a quarter of rows of another domain,
both corruption and other shares. The constants of kft/monitor/estimates were chosen on the models of ``CHOSEN_ON``;
those of ``JUDGED_ON`` were scored when all of it was fixed. Shifts with rows of a new class break what is assumed
("no class is new"): they are counted apart.

- no label: how often the interval holds the accuracy of these very rows, where it was not refused; mean absolute error
  beside the mean confidence, ATC and CBPE alone, on the same shifts;
- 50 labels: from each shift of 300 rows or more, rows are drawn with replacement, so that these are the whole truth; 50
  of them get a label, at random or as a queue draws them, unsure rows more often. Coverage, and width beside labels
  alone;
- class shares, at those with other shares and nothing else, and how often they are refused elsewhere.

Ends with 1 where less than 90 % of the intervals without a label hold the truth, or less than 93 % of those with 50.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import report

from kft.monitor.estimates.accuracy import estimate_accuracy
from kft.monitor.estimates.labelled import estimate_with_labels
from kft.monitor.estimates.scores import OTHER, UNLABELLED, Scores
from kft.monitor.estimates.shares import estimate_shares

CHOSEN_ON = ("products", "films", "b77", "photos", "kernel", "banking60")
JUDGED_ON = ("tweets", "editorials", "films2", "banking10", "debian", "photos2")
LEAST_COVERED, LEAST_WITH_LABELS = 0.90, 0.93
LABELS, DRAWS = 50, 100


@dataclass(frozen=True)
class Shift:
    """New rows of one model.

    Attributes:
        model: Its name.
        name: What was done, ``kind:detail``.
        reference: Half of the model's test rows.
        new: The rows.
    """

    model: str
    name: str
    reference: Scores
    new: Scores

    @property
    def kind(self) -> str:
        return "new class" if self.name.endswith(":new") else self.name.split(":")[0]


def shifts(model: str, folder: Path) -> Iterator[Shift]:
    """Yields the shifts of a model, from what shifted.py stored of it."""
    stored, rng = np.load(folder / f"{model}.npz"), np.random.default_rng(zlib.crc32(model.encode()))
    half = int(stored["half"])

    def scores(name: str, rows: slice = slice(None)) -> Scores:
        probabilities, truth = stored[f"{name}/p"][rows], stored[f"{name}/y"][rows]
        far = stored[f"{name}/far"][rows]
        return Scores(probabilities, probabilities.argmax(axis=1), np.where(truth < 0, OTHER, truth), far)

    reference, clean = scores("test", slice(0, half)), scores("test", slice(half, None))
    words, texts = stored["test/words"][half:], stored["test/text"][half:]
    found = [("clean", clean)]
    if words.max() > 1:
        short = words <= np.median(words)
        negated = np.array([" not " in f" {text.lower()} " or "n't" in text for text in texts])
        found += [("slice:short", clean.take(short)), ("slice:long", clean.take(~short))]
        found += [("slice:negation", clean.take(negated))] if negated.sum() >= 60 else []
    found += [(f"prior:{each}", other_shares(clean, each, rng)) for each in (0.3, 0.5, 1.0)]
    names = [key.removesuffix("/p") for key in stored.files if key.endswith("/p") and key != "test/p"]
    found += [(name.replace("_", ":", 1), scores(name)) for name in names]
    for name in (name for name in names if name.startswith("domain")):
        other, place = scores(name), name.removeprefix("domain_")
        rows = int(0.25 * min(len(other), len(clean)))
        found.append((f"quarter:{place}", mixed(clean, 3 * rows, other, rows, rng)))
        if place == "new":
            found.append(("tenth:new", mixed(clean, len(clean), other, len(clean) // 9, rng)))
    for name in (names[0], names[2]) if names[0].startswith("corrupt") and len(names) > 2 else ():
        found.append((f"prior and corrupt:{name[8:]}", other_shares(scores(name), 0.5, rng)))
    for name, new in found:
        yield Shift(model, name, reference, new)


def other_shares(scores: Scores, concentration: float, rng: np.random.Generator) -> Scores:
    """Returns about half of the rows, so that the classes get shares drawn from Dirichlet's distribution."""
    counts = np.bincount(scores.truth, minlength=scores.classes)
    wanted = rng.dirichlet(np.full(scores.classes, concentration))
    chance = (wanted / np.maximum(counts, 1))[scores.truth]
    low, high = 0.0, 1e9
    for _ in range(80):  # the factor at which as many rows are expected as are wanted; none is drawn twice
        middle = (low + high) / 2 if low == 0 else (low * high) ** 0.5
        enough = np.minimum(1, middle * chance).sum() >= max(60, len(scores) // 2)
        low, high = (low, middle) if enough else (middle, high)
    return scores.take(rng.random(len(scores)) < np.minimum(1, high * chance))


def mixed(one: Scores, rows: int, other: Scores, others: int, rng: np.random.Generator) -> Scores:
    """Returns some rows of both."""
    parts = one.take(rng.permutation(len(one))[:rows]), other.take(rng.permutation(len(other))[:others])
    joined = (np.concatenate([getattr(part, name) for part in parts]) for name in ("probabilities", "label", "truth"))
    return Scores(*joined, np.concatenate([part.foreign for part in parts]))


def without_labels(cases: list[Shift], shown: bool) -> list[dict[str, Any]]:
    """Returns what is said of each shift without a label, and the truth."""
    rows = []
    for case in cases:
        found, truth = estimate_accuracy(case.reference, case.new), float(case.new.right.mean())
        row = {"model": case.model, "shift": case.name, "kind": case.kind, "n": len(case.new), "truth": truth}
        row |= {"value": found.value, "low": found.low, "high": found.high, "refused": list(found.refused)}
        row |= {"confidence": float(case.new.confidence.mean()), **{way.name: way.value for way in found.ways}}
        row["held"] = None if found.value is None else bool(found.low <= truth <= found.high)
        rows.append(row)
        if shown:
            print(
                f"{case.model:10} {case.name:28} {truth:.3f}  {found.estimate or found.refused[0][:70]}  {row['held']}"
            )
    return rows


def in_short(row: dict[str, Any]) -> str:
    """Returns one line of what was said of a shift."""
    said = [f"{row[name]:.3f}" for name in ("value", "low", "high")] if row["value"] is not None else ["refused"]
    return ", ".join([str(row["n"]), f"{row['truth']:.3f}", *said])


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns coverage, errors and the share refused."""
    told = [row for row in rows if row["value"] is not None]

    def error(name: str, among: list[dict[str, Any]]) -> float:
        return round(float(np.mean([abs(row[name] - row["truth"]) for row in among])), 4)

    found: dict[str, Any] = {"shifts": len(rows), "refused": len(rows) - len(told)}
    refused = [row for row in rows if row["value"] is None]
    if refused:
        found["error of the confidence where refused"] = error("confidence", refused)
    if told:
        found["held"] = round(float(np.mean([row["held"] for row in told])), 3)
        found["width"] = round(float(np.median([row["high"] - row["low"] for row in told])), 3)
        found["error"] = {name: error(name, told) for name in ("value", "confidence", "atc", "cbpe")}
    return found


def with_labels(cases: list[Shift], queued: bool) -> dict[str, Any]:
    """Returns coverage and width of estimates with 50 labels over many draws."""
    held, alone, ratios, worst = [], [], [], []
    for case in cases:
        if len(case.new) < 300:
            continue
        rng, truth, own = np.random.default_rng(0), float(case.new.right.mean()), []
        for _ in range(DRAWS):
            new = case.new.take(rng.integers(0, len(case.new), min(len(case.new), 600)))
            doubt = 1 - new.confidence + 0.05
            chance = np.full(len(new), LABELS / len(new))
            drawn = np.isin(np.arange(len(new)), rng.permutation(len(new))[:LABELS])
            if queued:
                chance = np.minimum(1, chance / 2 + LABELS / 2 * doubt / doubt.sum())
                drawn = rng.random(len(new)) < chance
            seen = Scores(new.probabilities, new.label, np.where(drawn, new.truth, UNLABELLED), new.foreign)
            # What was not drawn has no chance that anybody wrote down.
            found = estimate_with_labels(case.reference, seen, np.where(drawn, chance, np.nan) if queued else None)
            own.append(found.low <= truth <= found.high)
            alone.append(found.labels_alone.low <= truth <= found.labels_alone.high)
            ratios.append((found.high - found.low) / (found.labels_alone.high - found.labels_alone.low))
        held += own
        worst.append(float(np.mean(own)))
    about = {"held": np.mean(held), "labels alone held": np.mean(alone), "width beside labels alone": np.mean(ratios)}
    about |= {"worst shift": min(worst), "shortest tenth of widths": np.quantile(ratios, 0.1)}
    return {"shifts": len(worst), "draws": len(held)} | {name: round(float(each), 3) for name, each in about.items()}


def of_shares(cases: list[Shift]) -> dict[str, Any]:
    """Returns how often the intervals of the class shares hold the truth, and where shares are refused."""
    held, error, refused = [], [], {}
    for case in cases:
        found = estimate_shares(case.reference, case.new, [str(each) for each in range(case.new.classes)])
        refused.setdefault(case.kind, []).append(bool(found.refused))
        if case.kind not in ("clean", "prior") or found.refused:
            continue
        truth = np.bincount(case.new.truth, minlength=case.new.classes) / len(case.new)
        held += [each.low <= true <= each.high for each, true in zip(found.shares, truth, strict=True)]
        error.append(np.abs(np.array([each.value for each in found.shares]) - truth).sum() / 2)
    about = {
        "held": round(float(np.mean(held)), 3),
        "shares": len(held),
        "rows misplaced": round(float(np.mean(error)), 3),
    }
    return about | {"refused": {kind: f"{sum(each)} of {len(each)}" for kind, each in refused.items()}}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scores", type=Path, required=True, help="what shifted.py stored")
    parser.add_argument("--half", choices=("chosen", "judged", "both"), default="both")
    parser.add_argument("--only", choices=("accuracy", "labels", "shares"))
    asked, result, fine = parser.parse_args(), {}, True
    for half, models in (("chosen on", CHOSEN_ON), ("judged on", JUDGED_ON)):
        if asked.half not in ("both", half.split()[0]):
            continue
        cases = [case for model in models for case in shifts(model, asked.scores)]
        known = [case for case in cases if case.kind != "new class"]
        about: dict[str, Any] = {"models": list(models)}
        if asked.only in (None, "accuracy"):
            rows = without_labels(cases, shown=True)
            inside = [row for row in rows if row["kind"] != "new class"]
            about["no label"] = summary(inside)
            kinds = dict.fromkeys(row["kind"] for row in rows)
            about["by kind"] = {kind: summary([row for row in rows if row["kind"] == kind]) for kind in kinds}
            about["rows: n, truth, value, low, high"] = {
                f"{row['model']} {row['shift']}": in_short(row) for row in rows
            }
            fine &= about["no label"]["held"] >= LEAST_COVERED
        if asked.only in (None, "labels"):
            about["50 labels"] = {"at random": with_labels(cases, False), "as a queue draws": with_labels(cases, True)}
            fine &= all(each["held"] >= LEAST_WITH_LABELS for each in about["50 labels"].values())
        if asked.only in (None, "shares"):
            about["shares"] = of_shares([case for case in known if len(case.reference) >= 100])
        result[half] = about
        print({key: value for key, value in about.items() if not key.startswith("rows")})
    if asked.half == "both" and asked.only is None:
        report("estimates", result)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
