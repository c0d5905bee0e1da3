"""Soft labels: a row of several classes is as many rows, each counting its share, wherever something is learned."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from kft.features.folds import assign_folds
from kft.features.probe import LOSSES, ProbeRows, solve_probe
from kft.features.sparse import solve_sparse
from kft.features.views import linear, neighbours
from kft.features.views.blend import Folding, fit_blend
from kft.features.views.blend import weigh as weigh_views
from kft.features.views.view import Goal, Lesson, ViewInput
from kft.feed.source import image_source
from kft.recipe.schema import RecipeSpec
from kft.recipe.training import PhaseSpec, TrainSpec
from kft.tasks.classes import CLASSES, cross_entropy
from kft.tasks.task import AnswerSpace
from kft.train.callbacks import CallbackDriver
from kft.train.checkpoint import snapshot
from kft.train.job import Job, Labelled, LoopState, TrainData
from kft.train.loop import train_phases
from kft.train.progress import Progress
from kft.train.step import make_train_step
from kft.train.weights import class_weights, weigh
from tests import forked
from tests.features.views.lessons import lesson
from tests.image_network import image_model
from tests.train.steps import OBJECTIVE, batch, one_call, optimizer_for, tiny_model

SPACE = AnswerSpace(("a", "b"))


def shares_of(rows, classes, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(classes), rows).astype(np.float32)


def as_rows(shares):
    """Returns row, class and share of each row of one class that rows of several are."""
    rows, classes = np.nonzero(shares)
    return rows, classes, shares[rows, classes]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_against_shares_is_that_of_rows_that_count_their_share(smoothing):
    logits, shares = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32), shares_of(5, 3)
    rows, classes, share = as_rows(shares)
    soft = cross_entropy(shares, logits, smoothing).numpy()
    hard = cross_entropy(classes.astype(np.int32), logits[rows], smoothing).numpy()
    np.testing.assert_allclose(soft, np.bincount(rows, hard * share), rtol=1e-5)
    if not smoothing:
        np.testing.assert_allclose(LOSSES["softmax"](logits.copy(), shares)[0], soft, rtol=1e-5)
        assert CLASSES.learning.loss(shares, logits, SPACE) == pytest.approx(soft.mean(), rel=1e-5)


def test_the_solvers_slope_is_that_of_the_loss():
    logits, shares = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32), shares_of(4, 3)
    with tf.GradientTape() as tape:
        given = tf.Variable(logits)
        loss = tf.reduce_sum(cross_entropy(shares, given))
    np.testing.assert_allclose(
        LOSSES["softmax"](logits.copy(), shares)[1], tape.gradient(loss, given).numpy(), atol=1e-6
    )


def test_a_step_on_shares_is_a_step_on_weighted_rows():
    """Also with padding, whose shares are zeros; twice the rows at twice the weight have the same mean."""
    found = []
    (x,), _, mask, _ = batch(5, 8)
    shares = np.zeros((8, 2), np.float32)
    shares[:5] = shares_of(5, 2)
    twice = (np.tile(x, (2, 1)),)
    hard = np.repeat([0, 1], 8).astype(np.int32)
    weights = 2 * np.concatenate([shares[:, 0], shares[:, 1]])
    soft = CLASSES.learning.soft(SPACE, 0.0)
    for objective, size, given in (
        (soft, 8, ((x,), shares, mask, mask)),
        (OBJECTIVE, 16, (twice, hard, np.tile(mask, 2), weights)),
    ):
        tf.keras.utils.set_random_seed(1)
        model = tiny_model()
        step = make_train_step(
            model, model, optimizer_for(model), TrainSpec(batch_size=size, clip_norm=None), objective
        )
        sums = one_call(step, given)
        found.append([sums.loss / sums.count, *(variable.numpy() for variable in model.trainable_variables)])
    for first, second in zip(*found, strict=True):
        np.testing.assert_allclose(first, second, atol=1e-6)


def test_the_step_is_the_same_on_any_number_of_replicas():
    found = []
    for devices in ("one", "cpu:4"):
        done = forked.run("tests.step_on", devices, "soft")
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout.splitlines()[-1]))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-6)
    for mine, other in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-6)


def test_a_probe_on_shares_is_a_probe_on_weighted_rows():
    features = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    shares = np.tile(np.float32([[0.3, 0.7]]), (60, 1))
    shares[:30] = shares_of(30, 2)
    rows, classes, share = as_rows(shares)
    valid = ProbeRows(features, shares)
    soft = solve_probe(valid, valid, 2)
    hard = solve_probe(ProbeRows(features[rows], classes, share), valid, 2)
    assert soft.strength == hard.strength
    np.testing.assert_allclose(soft.kernel, hard.kernel, atol=2e-3)
    np.testing.assert_allclose(soft.valid_loss, hard.valid_loss, atol=1e-5)


def split_lesson(given, shares):
    rows, classes, share = as_rows(shares)
    return replace(given, seen=given.seen.take(rows), targets=classes, weights=share)


def test_views_on_shares_are_views_on_weighted_rows():
    given = lesson(rows=60)
    shares = (np.eye(4, dtype=np.float32)[given.targets] + shares_of(60, 4)) / 2
    soft = replace(given, targets=shares)
    hard = split_lesson(given, shares)
    seen = lesson(1, rows=20).seen
    for strength in (0.01, 1.0):
        mine, other = linear.fit(soft, strength).outputs(seen), linear.fit(hard, strength).outputs(seen)
        np.testing.assert_allclose(mine, other, atol=0.02)
    outputs = {"one": np.log(shares_of(60, 4, 1)), "two": np.log(shares_of(60, 4, 2) + shares)}
    rows, _, _ = as_rows(shares)
    mine = weigh_views(outputs, soft)
    other = weigh_views({name: each[rows] for name, each in outputs.items()}, hard)
    assert soft.loss(outputs["one"]) == pytest.approx(hard.loss(outputs["one"][rows]), rel=1e-5)
    for name in mine:
        assert mine[name] == pytest.approx(other[name], abs=0.02)  # drawn to one view by 1 / rows, of which are more


def test_neighbours_speak_for_all_classes_of_their_shares_and_each_class_counts_the_same():
    shares = np.float32([[1, 0], [0.25, 0.75]])
    vectors = np.float32([[1, 0], [0, 1]])
    view = neighbours.fit(Lesson(ViewInput(vectors), shares, Goal("softmax", 2)), 1.0)
    near = np.exp(vectors)  # of each row to the known ones, at a width of 1
    rows, classes, share = as_rows(shares)
    counted = share / np.maximum(shares.sum(axis=0), 1)[classes]
    speaks = np.array([np.bincount(classes, counted * each[rows], 2) for each in near])
    expected = np.log(speaks / speaks.sum(axis=1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(view.outputs(ViewInput(vectors)), expected, atol=1e-5)


def test_words_on_shares_are_words_on_weighted_rows():
    from scipy.sparse import csr_matrix

    dense = (np.random.default_rng(0).random((40, 30)) < 0.2).astype(np.float32)
    shares = shares_of(40, 3)
    rows, classes, share = as_rows(shares)
    goal = Goal("softmax", 3)
    soft = solve_sparse(csr_matrix(dense), shares, np.ones(40, np.float32), goal, 1.0)
    hard = solve_sparse(csr_matrix(dense[rows]), classes, share, goal, 1.0)

    def minimised(kernel, bias):
        return LOSSES["softmax"](dense @ kernel + bias, shares)[0].sum() + (kernel**2).sum() / 2

    assert minimised(*soft) == pytest.approx(minimised(*hard), rel=2e-3)  # the solver ends early
    assert minimised(*soft) < 0.95 * minimised(np.zeros((30, 3), np.float32), np.zeros(3, np.float32))


def test_a_blend_on_shares_that_are_certain_is_the_blend_on_classes():
    given = lesson(rows=80)
    shares = np.eye(4, dtype=np.float32)[given.targets]
    folding = Folding(given.targets)
    hard, soft = fit_blend(given, folding), fit_blend(replace(given, targets=shares), folding)
    assert soft.settings == hard.settings
    for name, weight in hard.weights.items():
        assert soft.weights[name] == pytest.approx(weight, abs=1e-3)
    seen = lesson(1).seen
    np.testing.assert_allclose(soft.blend.outputs(seen), hard.blend.outputs(seen), atol=1e-2)
    assert len(assign_folds(given.targets, None, 5)) == 80


def test_soft_and_hard_lessons_join():
    hard = lesson(rows=8)
    soft = replace(hard, targets=shares_of(8, 4))
    for pair in ((hard, soft), (soft, hard)):
        joined = pair[0].with_more(pair[1])
        assert joined.targets.shape == (16, 4)
        np.testing.assert_allclose(joined.targets.sum(axis=1), 1, atol=1e-6)
    assert soft.with_names[1].shape == (12, 4)


def test_balanced_classes():
    spec, targets = TrainSpec(class_weight="balanced"), np.array([0, 0, 0, 1])
    of_class = class_weights(spec, targets, 2)
    np.testing.assert_allclose(of_class, [4 / 6, 2])
    np.testing.assert_allclose(weigh(targets, of_class)[1], [4 / 6, 4 / 6, 4 / 6, 2.0])
    assert class_weights(TrainSpec(), targets, 2) is None
    np.testing.assert_array_equal(weigh(targets, None)[1], np.ones(4))


def test_balanced_shares_are_balanced_rows():
    spec, shares = TrainSpec(class_weight="balanced"), shares_of(30, 3)
    one_hot = np.eye(3, dtype=np.float32)[shares.argmax(axis=1)]
    np.testing.assert_allclose(class_weights(spec, one_hot, 3), class_weights(spec, shares.argmax(axis=1), 3))
    of_class = class_weights(spec, shares, 3)
    tilted, weights = weigh(shares, of_class)
    np.testing.assert_allclose(tilted.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose((tilted * weights[:, None]).sum(axis=0), 10, rtol=1e-4)  # each class counts the same
    logits = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    rows, classes, share = as_rows(shares)
    hard = LOSSES["softmax"](logits[rows], classes)[0] @ (share * of_class[classes])
    assert LOSSES["softmax"](logits.copy(), tilted)[0] @ weights == pytest.approx(hard, rel=1e-5)


def run(phase, *, certain=False, shares=None, valid_shares=None):
    """Trains a small network for images on 60 examples, valid 30, and returns the weights and the metrics."""
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, 90).astype("int32")
    images = (rng.normal(size=(90, 8, 8, 3)) + targets[:, None, None, None]).astype("float32")

    def part(rows, shares):
        return Labelled(image_source(images[rows]), targets[rows], targets[rows], shares=shares)

    eye = np.eye(2, dtype=np.float32)[targets]
    if certain:
        shares, valid_shares = eye[:60], eye[60:]
    model = image_model()
    train, valid = part(slice(60), shares), part(slice(60, None), valid_shares)
    job = Job(
        model=model,
        name="images",
        data=TrainData(train, valid, CLASSES, AnswerSpace(("dark", "bright")), np.ones(60, np.float32)),
        phases=(phase,),
        spec=RecipeSpec.model_validate(
            {
                "task": "image-classification",
                "data": {"train": "images"},
                "train": {"batch_size": 16, "best": "valid_loss"},
                "features": {"store": "off"},
            }
        ),
        callbacks=CallbackDriver(model, []),
        watch=Progress(quiet=True),
    )
    state = LoopState()
    assert list(train_phases(job, state))
    return snapshot(state.moving), state.phase_weights["only"], state.phase_metrics["only"]


PHASES = {
    "solved": PhaseSpec(name="only", unfreeze="none", solver="lbfgs"),
    "blended": PhaseSpec(name="only", unfreeze="none", solver="blend"),
    "stepped": PhaseSpec(name="only", unfreeze="top-1", epochs=2, lr=1e-2),
    "contrastive": PhaseSpec.model_validate(
        {"name": "only", "unfreeze": "top-1", "epochs": 1, "lr": 1e-2, "objective": "contrastive"}
    ),
}


@pytest.mark.parametrize("name", PHASES)
def test_a_phase_on_shares_that_are_certain_ends_where_it_ends_on_classes(name):
    hard, soft = (run(PHASES[name], certain=certain) for certain in (False, True))
    for mine, other in zip(hard[:2], soft[:2], strict=True):
        assert mine.keys() == other.keys()
        for key in mine:
            np.testing.assert_allclose(mine[key], other[key], atol=1e-3, err_msg=key)
    assert hard[2] == pytest.approx(soft[2], abs=1e-5)


@pytest.mark.parametrize("name", PHASES)
def test_a_phase_learns_the_shares(name):
    """All rows are .8 of one class: so say the answers, which would say 1 of a class."""
    shares = np.tile(np.float32([[0.2, 0.8]]), (90, 1))
    steps = {"epochs": 40} if name == "stepped" else {}
    phase = PHASES[name].model_copy(update=steps)
    _, _, metrics = run(phase, shares=shares[:60], valid_shares=shares[60:])
    least = -(0.2 * np.log(0.2) + 0.8 * np.log(0.8))
    assert metrics["valid_loss"] == pytest.approx(least, abs=0.05 if name == "stepped" else 0.02)
