"""Which should a person take: a language model that is prompted, or a small backbone with a head? By one split.

    python benchmarks/prompting.py RECIPE [--language-model NAME] [--valid N] [--test N] [--set K=V ...]
                                   [--train N] [--own APPROACHES] [--no-prompts]

Prompted zero-shot, with fixed and with retrieved examples, each as it is and calibrated; template and score of each are
chosen on rows of valid. Beside them what `kft compare` has on the recipe's backbone, and on the language model itself.
The test rows are answered once by each way, after all choices. Lines are printed as they are done.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np

from kft.answer.calibration import fit_temperature
from kft.api.reading import load
from kft.compare.answered import answer_labelled
from kft.compare.approaches import APPROACHES
from kft.compare.compare import without_frills
from kft.compare.prompting import Manner, PromptSetting, variants
from kft.compare.setting import Setting
from kft.metrics.intervals import estimate_all
from kft.split.data_split import DataSplit
from kft.tasks.decode import softmax
from kft.train.progress import Progress

FROZEN = ("majority", "names", "retrieval", "probe", "blend")
WAYS = (("none", False), ("none", True), ("fixed", False), ("fixed", True), ("retrieved", False), ("retrieved", True))


def drawn(split: DataSplit, train: int, valid: int, test: int) -> DataSplit:
    """Returns the split with at most so many rows of each part, drawn by seed 0; 0 is all."""
    parts = {"train": (split.train, train), "valid": (split.valid, valid), "test": (split.test, test)}
    kept = {
        name: np.sort(np.random.default_rng(0).permutation(len(part))[: most or None])
        for name, (part, most) in parts.items()
    }
    rows = np.append(kept["train"], len(split.train) + kept["valid"])
    known = None if split.known_copies is None else split.known_copies.arranged(rows)
    taken = {name: part.take(kept[name]) for name, (part, _) in parts.items()}
    return replace(split, **taken, copies=None, known_copies=known)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("recipe")
    asked.add_argument("--language-model", default="gemma3-270m")
    asked.add_argument("--train", type=int, default=0, help="0 is all")
    asked.add_argument("--valid", type=int, default=128)
    asked.add_argument("--test", type=int, default=256)
    asked.add_argument("--own", default=",".join(FROZEN[2:]), help="approaches on the language model; lora is one")
    asked.add_argument("--no-prompts", action="store_true", help="the language model's own approaches alone")
    asked.add_argument("--set", action="append", default=[], dest="overrides")
    given = asked.parse_args()
    overrides = [*given.overrides, f"compare.language_model={given.language_model}"]
    loaded, split = load(given.recipe, overrides, None, "one")
    split = drawn(split, given.train, given.valid, given.test)
    print(f"{len(split.train)} train, {len(split.valid)} valid, {len(split.test)} test, {len(split.labels)} classes")
    print("| way | accuracy, test | log loss, test | CPU s to fit or choose | CPU s an answer |")
    print("|" + " --- |" * 5)
    settings = {}
    ways = {loaded.spec.model.backbone: FROZEN, given.language_model: tuple(filter(None, given.own.split(",")))}
    if given.no_prompts:
        ways = {given.language_model: ways[given.language_model]}
    for backbone, names in ways.items():
        spec = without_frills(loaded.spec)
        spec = spec.model_copy(update={"model": spec.model.model_copy(update={"backbone": backbone})})
        settings[backbone] = setting = Setting(spec, split.without_test(), Progress(), len(split.test))
        for name in names:
            began = time.process_time()
            solution = APPROACHES.get(name).fit(setting)
            took = time.process_time() - began
            answered, began = answer_labelled(setting, name, solution), time.process_time()
            found = answered.temperature.apply(solution.answers(setting, split.test))
            tell(split, f"{name}, {backbone}", found, took, time.process_time() - began)
    if not given.no_prompts:
        prompt(split, settings[loaded.spec.model.backbone])


def prompt(split: DataSplit, setting: Setting) -> None:
    """Prints a line for each way of prompting."""
    asking, metric, truth = PromptSetting(setting), setting.metric, setting.truth(setting.split.valid)
    valid = setting.split.valid
    tried, took = {}, dict.fromkeys(("none", "fixed", "retrieved"), 0.0)
    asking.weigh.of([[np.zeros(2, np.int32)]], asking.prompter(asking.manners[0].template).label_tokens)  # traces

    def choose(manner: Manner) -> None:
        began = time.process_time()
        for score, calibrated, logits in variants(asking, manner, valid, None):
            tried[manner, score, calibrated] = (metric.value(truth, softmax(logits)), logits)
        took[manner.examples] += time.process_time() - began

    for manner in asking.manners:
        choose(replace(manner, examples="none"))
    (best, _, _), _ = max(tried.items(), key=lambda each: each[1][0])
    for examples in ("fixed", "retrieved"):
        choose(replace(best, examples=examples))
    scored: dict[Manner, tuple[object, float]] = {}
    for examples, calibrated in WAYS:
        own = {key: value for key, value in tried.items() if (key[0].examples, key[2]) == (examples, calibrated)}
        (manner, score, _), (value, logits) = max(own.items(), key=lambda each: each[1][0])
        if manner not in scored:
            began = time.process_time()
            found = asking.score(manner, split.test, free=True)
            scored[manner] = (found, time.process_time() - began)
        found, seconds = scored[manner]
        temperature = fit_temperature(truth, softmax(logits))
        answers = temperature.apply(softmax(found.logits(score, calibrated)))
        said = f"{examples}{', calibrated' if calibrated else ''} ({manner.template.name}, {score}, valid {value:.3f})"
        tell(split, f"prompted, examples {said}", answers, took[examples], seconds)


def tell(split: DataSplit, name: str, answers: np.ndarray, took: float, seconds: float) -> None:
    kind = split.kind
    truth = kind.judging.truth(list(split.test.labels), split.space)
    found = estimate_all(truth, answers, groups=split.test.groups, metrics=kind.judging.metrics)
    each = seconds / len(split.test)
    print(f"| {name} | {found['accuracy']} | {found['log_loss']} | {took:.1f} | {each:.4f} |", flush=True)


if __name__ == "__main__":
    main()
