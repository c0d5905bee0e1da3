"""The approaches, cheapest first: one entry each. How each is fitted stands in the file of its kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kft.compare import frozen, linear, names, prompting, tagging, tuning
from kft.compare.setting import Setting
from kft.compare.solution import Solution
from kft.registry import Registry

Unfit = Callable[[Setting], str]
Hopeless = Callable[[Setting, float], str]


@dataclass(frozen=True)
class Approach:
    """One way to come from examples to answers.

    Attributes:
        name: As in compare.json and ``--approaches``.
        about: What it does, for people.
        best_for: When it is the right one, for people.
        fit: Fits it; sees train and valid alone, of which what trains reads train.
        unfit: Says why it cannot be used at all; empty when it can.
        hopeless: Says why it is not worth its cost, given a budget in minutes; empty when it is. It is not asked
            about approaches that a person named.
        pretrained: Whether it reads the pretrained backbone.
        passes: Passes of one example through the whole backbone that fitting takes, about; 0 where it is soon done.
        forgetting: Why there is no figure for what the backbone unlearned, where there is none, for people.
    """

    name: str
    about: str
    best_for: str
    fit: Callable[[Setting], Solution]
    unfit: Unfit = lambda setting: ""
    hopeless: Hopeless = lambda setting, budget: ""
    pretrained: bool = True
    passes: int = 0
    forgetting: str = "the backbone stays as it is"


APPROACHES: Registry[Approach] = Registry("approach", next_step="leave --approaches out for all of them")

NO_BACKBONE, KEPT_ITS_START = "there is no backbone", "kept its start: the backbone stays as it is"

for approach in (
    Approach(
        "majority",
        "the most frequent class, or the mean",
        "a yardstick: it reads nothing",
        linear.fit_majority,
        pretrained=False,
        forgetting=NO_BACKBONE,
    ),
    Approach(
        "linear",
        "a linear model on words, or on thumbnails",
        "labels that depend on words; no GPU, no backbone",
        linear.fit_linear,
        pretrained=False,
        forgetting=NO_BACKBONE,
    ),
    Approach(
        "names",
        "label names against the text, zero-shot",
        "no labels yet, and names that say it all",
        names.fit,
        unfit=names.unfit,
    ),
    Approach(
        "retrieval",
        "the nearest labelled examples",
        "labels that change: a new row counts at once",
        frozen.fit_retrieval,
        unfit=tagging.unfit_for_words,
    ),
    Approach("probe", "a head on the frozen backbone", "few labels, quick training", frozen.fit_probe),
    Approach("blend", "views of the frozen backbone, weighed", "the most from few labels", frozen.fit_views),
    Approach(
        "prompting",
        "a language model, asked for the label's words",
        "a dozen labels, to choose the prompt by; no training",
        prompting.fit,
        unfit=prompting.unfit,
        hopeless=prompting.too_long,
    ),
    Approach(
        "lora",
        "low-rank adapters in all blocks, from the probe",
        "many tasks on one backbone: small files",
        tuning.fit_lora,
        passes=12,
        hopeless=tuning.too_much_for_lora,
        forgetting=KEPT_ITS_START,
    ),
    Approach(
        "top",
        "the two top blocks, from the probe",
        "dozens of labels a class; cheaper than all blocks",
        tuning.fit_top,
        passes=4,
        forgetting=KEPT_ITS_START,
    ),
    Approach(
        "full",
        "all blocks, from the probe",
        "many labels, words used in another sense",
        tuning.fit_full,
        passes=12,
        hopeless=tuning.too_much_for_full,
        forgetting=KEPT_ITS_START,
    ),
    Approach(
        "scratch",
        "the same architecture from random weights",
        "very many labels, unlike all that was read",
        tuning.fit_scratch,
        passes=90,
        hopeless=tuning.too_much_for_scratch,
        pretrained=False,
        forgetting="nothing was learned before",
    ),
):
    APPROACHES.register(approach.name, approach)
