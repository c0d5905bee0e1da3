"""Which backbone is recommended, and what is said of it; on invented answers, so that every case is exact."""

import numpy as np
import pytest

from kft.compare.choosing import Measured
from kft.compare.grounds import BackboneCandidate, Grounds
from kft.compare.recommend import judge
from kft.data.examples import Examples
from kft.records.choose import BackboneCost, TokenFacts
from kft.split.data_split import Selection
from kft.tasks.classes import CLASSES
from kft.tasks.recipes import load_recipe
from kft.tasks.task import AnswerSpace
from kft.train.progress import Progress

ROWS = 600
GOOD = TokenFacts(128, 512, 16.0, 0.0, 0.0, 0.0, 1.1, 1.0, 1.0)
FOREIGN = TokenFacts(128, 512, 16.0, 0.0, 0.0, 0.0, 1.2, 0.52, 1.0)


def grounds(best="valid_accuracy"):
    ids = np.array([str(row) for row in range(ROWS)])
    labels = np.array(["no", "yes"] * (ROWS // 2), object)
    examples = Examples(ids, [f"text {row}" for row in range(ROWS)], labels, None)
    parts = np.arange(ROWS) < 500, np.arange(ROWS) >= 500
    train, valid = (examples.take(np.flatnonzero(part)) for part in parts)
    recipe = load_recipe({"task": "text-classification", "data": {"train": "a.csv"}, "train": {"best": best}})
    split = Selection(train, valid, CLASSES, AnswerSpace(("no", "yes")))
    return Grounds(recipe.spec, split, None, Progress(quiet=True))


def measured(name, share, price=1.0, tokens=GOOD, seed=0):
    """A backbone that is right on so large a share of the rows, the same rows for all with one seed."""
    targets = np.arange(ROWS) % 2
    wrong = np.random.default_rng(seed).permutation(ROWS) >= round(share * ROWS)
    answers = np.where(wrong[:, None], np.eye(2)[1 - targets], np.eye(2)[targets]) * 0.8 + 0.1
    cost = BackboneCost(1.0, 2.0, 0, False, 1.0, 2.0, price * 1e9, 10, 40, 40)
    random = name.endswith("@random")
    return Measured(
        BackboneCandidate(name, name.removesuffix("@random"), random), {"probe": answers}, {}, cost, tokens, ""
    )


def verdict_of(*each, best="valid_accuracy"):
    return judge(each, grounds(best), "probe")


def test_a_proven_lead_is_worth_its_price():
    results, verdict = verdict_of(measured("small", 0.7), measured("large", 0.9, price=10))
    assert (verdict.backbone, verdict.best) == ("large", "large")
    assert verdict.why.startswith("it is the best with 0.900 accuracy out of fold, 0.200 [0.1")
    assert [each.name for each in results] == ["large", "small"]
    assert results[1].paired["probe"].high < 0 == results[0].paired["probe"].value


def test_the_cheapest_that_keeps_up_is_taken_whatever_the_order():
    small, large = measured("small", 0.895), measured("large", 0.9, price=10)
    for pair in ((small, large), (large, small)):
        _, verdict = verdict_of(*pair)
        assert verdict.backbone == "small" and verdict.best == "large"
        assert verdict.why.startswith(
            "it is the cheapest that keeps up with 0.895 accuracy out of fold; large has 0.900"
        )
        assert "a lead of 0.005 [" in verdict.why and verdict.why.endswith("which may be chance")


def test_of_two_that_cost_alike_the_better_is_taken():
    _, verdict = verdict_of(measured("one", 0.895, price=1.0), measured("other", 0.9, price=1.1))
    assert verdict.backbone == "other"
    assert "over one, the next, which may be chance, but it is no dearer" in verdict.why


def test_random_weights_rank_last_and_are_never_recommended():
    results, verdict = verdict_of(measured("tiny@random", 0.9), measured("tiny", 0.89))
    assert [each.name for each in results] == ["tiny", "tiny@random"]
    assert verdict.backbone == verdict.best == "tiny"
    assert "tiny@random, with weights that have learned nothing, may do as well" in verdict.why
    _, verdict = verdict_of(measured("tiny@random", 0.6), measured("tiny", 0.89))
    assert "pretraining is worth 0.290 [0.2" in verdict.why


def test_a_vocabulary_of_other_weights_is_flagged_and_not_considered():
    results, verdict = verdict_of(measured("sound", 0.85), measured("foreign", 0.86, tokens=FOREIGN))
    assert verdict.backbone == "sound"
    assert verdict.why.endswith("not considered: foreign, read with a vocabulary that is not its own")
    (flag,) = results[0].flags
    assert results[0].name == "foreign"
    assert flag.startswith("the vocabulary is not that of the weights: only 52.0 % of its words have a vector like")


def test_random_weights_are_not_blamed_for_their_vectors():
    results, _ = verdict_of(measured("tiny@random", 0.6, tokens=FOREIGN), measured("tiny", 0.89))
    assert results[1].flags == ()


def test_nothing_better_than_a_constant_answer_is_no_recommendation():
    _, verdict = verdict_of(measured("one", 0.52), measured("other", 0.5, seed=1))
    assert verdict.backbone is None and verdict.best == "one"
    assert verdict.why.startswith("no backbone does better than a constant answer: the best is one with 0.520 accuracy")
    assert verdict.why.endswith("look at the labels first: kft check")


def test_one_alone_is_said_as_it_is():
    _, verdict = verdict_of(measured("alone", 0.8))
    assert (verdict.backbone, verdict.why) == ("alone", "it is the best with 0.800 accuracy out of fold")


def test_a_metric_of_which_less_is_better_is_turned():
    results, verdict = verdict_of(measured("small", 0.7), measured("large", 0.9, price=10), best="valid_loss")
    assert verdict.backbone == "large"
    assert results[1].paired["probe"].low > 0  # more log loss than the best


@pytest.mark.parametrize("share", [0.9, 0.7])
def test_the_best_of_several_has_to_lead_by_more(share):
    """Each look at one more backbone widens the intervals."""
    two, _ = verdict_of(measured("a", 0.95), measured("b", share, seed=1))
    many, _ = verdict_of(measured("a", 0.95), *(measured(f"b{seed}", share, seed=seed) for seed in range(1, 6)))
    width = [each.paired["probe"].high - each.paired["probe"].low for each in (two[1], many[1])]
    assert width[1] > width[0]
