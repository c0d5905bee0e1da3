"""How often the verdict of `kft compare` among cheap approaches agrees with what a large test split can prove.

    python benchmarks/verdict.py --train TRAIN.csv --test TEST.csv --draws 20 --sizes 10,26

Each draw takes so many rows of each label, splits them as a recipe does, and decides among ``majority``, ``linear``,
``retrieval``, ``probe`` and ``blend`` as `kft compare` does, from train and valid alone. Then the same rule reads the
test split. The verdict is *contradicted* where test proves another approach better than the one that was named, with
intervals that hold together; it is *the same* where the rule names the same approach by test. Beside it stand what
would have been said by valid's rows alone, and by the cheapest in the order of the table even among those that cost
alike. The frozen pass over all rows is paid once.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import report

NAMES = ("majority", "linear", "retrieval", "probe", "blend")
BASE = "minilm-l6"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True, help="csv with the columns text and label")
    parser.add_argument("--test", type=Path, required=True, help="csv with the same columns")
    parser.add_argument("--draws", type=int, default=20, help="of each size; default 20")
    parser.add_argument("--first", type=int, default=0, help="seed of the first draw; default 0")
    parser.add_argument("--sizes", default="10,26", help="rows of each label; default 10,26")
    given = parser.parse_args()
    train, test = (pd.read_csv(path) for path in (given.train, given.test))
    frozen = Frozen(train, test)
    found: dict[str, Any] = {}
    for size in map(int, given.sizes.split(",")):
        draws = []
        for seed in range(given.first, given.first + given.draws):
            started = time.process_time()
            drawn = train.groupby("label").sample(size, random_state=seed)
            draws.append(one_draw(drawn, test, seed, frozen) | {"cpu_s": round(time.process_time() - started, 1)})
            print(size, seed, draws[-1], file=sys.stderr, flush=True)
        found[f"{size} a class"] = {"summary": summary(draws), "draws": draws}
        print(size, found[f"{size} a class"]["summary"], file=sys.stderr, flush=True)
    report(f"verdict-{given.sizes}", found)


class Frozen:
    """What the frozen backbone makes of every row, computed once."""

    def __init__(self, train: pd.DataFrame, test: pd.DataFrame) -> None:
        setting, tested = setting_of(train, test, 0)
        parts = (setting.split.train, setting.split.valid, tested)
        self._seen = {text: (part, row) for part in parts for row, text in enumerate(part.inputs)}
        self._made = {id(part): setting.seen_of(part) for part in parts}
        self._setting, self._parts = setting, parts
        self.backbone_names = setting.names

    def take(self, examples: Any) -> Any:
        """Returns what the backbone makes of a part of a draw."""
        from kft.features.views.view import ViewInput
        from kft.feed.batches import Ragged

        places = [self._seen[text] for text in examples.inputs]
        seen = [(self._made[id(part)], row) for part, row in places]
        tokens = Ragged.from_rows([each.tokens.row(row) for each, row in seen])
        return ViewInput(np.stack([each.vectors[row] for each, row in seen]), tokens)


def setting_of(train: pd.DataFrame, test: pd.DataFrame, seed: int) -> tuple[Any, Any]:
    """Returns what `kft compare` decides by, and the test split with its labels."""
    from kft.api.reading import load, progress_for
    from kft.compare.compare import without_frills
    from kft.compare.setting import Setting

    recipe = {
        "task": "text-classification",
        "seed": seed,
        "data": {"train": "dataframe", "valid": "15%", "test": "dataframe", "unusable_rows": "skip"},
        "model": {"backbone": BASE},
    }
    loaded, split = load(recipe, (), {"train": train, "test": test})
    return Setting(without_frills(loaded.spec), split.without_test(), progress_for(True)), split.test


def one_draw(drawn: pd.DataFrame, test: pd.DataFrame, seed: int, frozen: Frozen) -> dict[str, Any]:
    """Decides by train and valid, and by test."""
    from kft.compare.answered import HeldOutAnswers, answer_labelled
    from kft.compare.approaches import APPROACHES
    from kft.compare.compare import decide_among, looks, reached
    from kft.compare.verdict import Lead, Reached, decide
    from kft.metrics.intervals import paired_difference
    from kft.records.estimate import widen

    setting, tested = setting_of(drawn, test, seed)
    for part in (setting.split.train, setting.split.valid, tested):
        setting.remember(part, frozen.take(part))
    setting.__dict__["names"] = frozen.backbone_names
    answered, on_test = {}, {}
    for name in NAMES:
        solution = APPROACHES.get(name).fit(setting)
        answered[name] = answer_labelled(setting, name, solution)
        on_test[name] = answered[name].temperature.apply(solution.answers(setting, tested))
    truth, metric, many = setting.truth(tested), setting.metric, looks(answered)

    def ahead(first: str, second: str) -> Lead:
        gap = paired_difference(metric, truth, on_test[first], on_test[second], groups=tested.groups)
        return Lead(widen(gap, many), len(tested), True)

    proven = {name: metric.value(truth, each) for name, each in on_test.items()}
    by_test = decide({name: Reached(value, value) for name, value in proven.items()}, ahead)
    verdict = decide_among(setting, answered)
    on_valid = {name: HeldOutAnswers(each.temperature, each.valid, None) for name, each in answered.items()}
    named = {
        "verdict": verdict.approach,
        "strict order": decide_among(setting, answered, alike=()).approach,
        "valid alone": decide_among(setting, on_valid).approach,
        "valid alone, strict order": decide_among(setting, on_valid, alike=()).approach,
    }
    best = max(proven.values())
    return {
        "named": named,
        "by test": by_test.approach,
        "agrees": {how: not contradicted(name, proven, ahead) for how, name in named.items()},
        "lost": {how: round(best - proven[name], 4) for how, name in named.items()},
        "rows": len(setting.judged.rows),
        "valid_rows": len(setting.split.valid),
        "test": {name: round(value, 4) for name, value in proven.items()},
        "out_of_fold": {name: round(reached(setting, each).value, 4) for name, each in answered.items()},
    }


def contradicted(name: str, proven: dict[str, float], ahead: Any) -> bool:
    """Whether test proves another approach better."""
    return any(ahead(other, name).estimate.low > 0 for other in proven if other != name)


def summary(draws: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns counts over the draws, and means."""
    ways = draws[0]["named"]
    return {
        "draws": len(draws),
        "agree": {how: sum(each["agrees"][how] for each in draws) for how in ways},
        "the same as by test": {how: sum(each["named"][how] == each["by test"] for each in draws) for how in ways},
        "mean lost": {how: round(float(np.mean([each["lost"][how] for each in draws])), 4) for how in ways},
        "mean on test": {name: round(float(np.mean([each["test"][name] for each in draws])), 4) for name in NAMES},
    }


if __name__ == "__main__":
    main()
