"""How often 95 % intervals hold the truth, from simulated test sets: ``python -m tests.metrics.coverage`` prints it."""

from collections.abc import Iterator

import numpy as np

from kft.metrics.classification import BRIER, METRICS
from kft.metrics.intervals import estimate_all, paired_difference
from kft.metrics.proportions import share_of

BANDS = ((0.5, 0.6), (0.6, 0.8), (0.8, 0.9), (0.9, 0.95), (0.95, 0.99))
"""Shares are drawn evenly within each: at one share alone, coverage jumps with the few values that a count can take."""
ROWS = (10, 30, 100, 300, 1000)
LAYOUTS = ("alone", "pairs", "fives", "1 to 9")
ALIKE = (0.2, 0.5, 1.0)
"""How alike rows of a group are: the correlation of their being right; at 1 they are right or wrong together."""


def sizes_of(layout: str, n: int, rng: np.random.Generator) -> np.ndarray:
    """Returns the sizes of groups that hold n rows."""
    size = {"alone": 1, "pairs": 2, "fives": 5}.get(layout)
    if size:
        return np.full(n // size, size)
    ends = np.cumsum(rng.integers(1, 10, n))
    return np.diff(np.append(0, np.append(ends[ends < n], n)))


def share_coverage(layout: str, n: int, alike: float, band: tuple[float, float], sets: int) -> float:
    """Returns how many intervals of the share of right answers hold the share that they were drawn with."""
    rng, held = np.random.default_rng([n, int(100 * alike), int(100 * band[0])]), 0
    for _ in range(sets):
        share, sizes = rng.uniform(*band), sizes_of(layout, n, rng)
        if alike == 1:
            odds = (rng.random(len(sizes)) < share).astype(float)
        else:
            strength = (1 - alike) / alike
            odds = rng.beta(share * strength, (1 - share) * strength, len(sizes))
        hits = (rng.random(n) < np.repeat(odds if layout != "alone" else np.full(n, share), sizes)).astype(float)
        found = share_of(hits, np.ones(n), np.repeat(np.arange(len(sizes)), sizes))
        held += found.low <= share <= found.high
    return held / sets


def shares(sets: int) -> Iterator[tuple[str, int, float, list[float]]]:
    """Yields layout, rows, likeness and the coverage in each band."""
    for layout in LAYOUTS:
        for n in ROWS:
            for alike in ALIKE[:1] if layout == "alone" else ALIKE:
                yield layout, n, alike, [share_coverage(layout, n, alike, band, sets) for band in BANDS]


def answers(rng: np.random.Generator, n: int, accuracy: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Draws answers of three classes, one rare: so often right, or without a share as often as they are sure."""
    targets = rng.choice(3, n, p=[0.6, 0.3, 0.1])
    sure = 1 / 3 + rng.beta(8, 1, n) * 2 / 3
    right = rng.random(n) < (sure if accuracy is None else accuracy)
    said = np.where(right, targets, (targets + rng.integers(1, 3, n)) % 3)
    probabilities = np.repeat(((1 - sure) / 2)[:, None], 3, axis=1)
    probabilities[np.arange(n), said] = sure
    return targets, probabilities


def metrics_coverage(n: int, accuracy: float | None, sets: int) -> dict[str, float]:
    """Returns the coverage of every metric but accuracy."""
    metrics = {**METRICS, "brier": BRIER}
    del metrics["accuracy"]
    truth = {name: m.value(*answers(np.random.default_rng(0), 400_000, accuracy)) for name, m in metrics.items()}
    held = dict.fromkeys(metrics, 0)
    for seed in range(sets):
        drawn = answers(np.random.default_rng([1, seed]), n, accuracy)
        for name, found in estimate_all(*drawn, resamples=400, seed=seed, metrics=metrics).items():
            held[name] += found.low <= truth[name] <= found.high
    return {name: count / sets for name, count in held.items()}


def paired_coverage(n: int, fixed: float, broke: float, sets: int) -> float:
    """Returns the coverage of the difference between two models that differ on so many examples."""
    held = 0
    for seed in range(sets):
        rng = np.random.default_rng([2, seed])
        lot, both = rng.random(n), rng.random(n) < 0.8
        first = np.where(lot < fixed, True, np.where(lot < fixed + broke, False, both))
        second = np.where(lot < fixed, False, np.where(lot < fixed + broke, True, both))
        one, two = (np.stack([yes, ~yes], axis=1).astype(float) for yes in (first, second))
        found = paired_difference(METRICS["accuracy"], np.zeros(n, int), one, two, resamples=400)
        held += found.low <= fixed - broke <= found.high
    return held / sets


if __name__ == "__main__":
    for layout, rows, alike, found in shares(2000):
        print(f"{layout:8s}{rows:5d} {alike:.1f} ", *(f"{value:.3f}" for value in found))
    for rows in ROWS[:4]:
        for accuracy in (None, 0.9, 0.99):
            print(
                rows, accuracy, {name: round(value, 3) for name, value in metrics_coverage(rows, accuracy, 400).items()}
            )
        for changed in ((0.0, 0.02), (0.05, 0.05), (0.1, 0.0), (0.2, 0.1)):
            print(rows, changed, round(paired_coverage(rows, *changed, 400), 3))
