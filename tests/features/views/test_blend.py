"""Views on synthetic examples: each right by itself, weighed by what they did out of fold."""

from dataclasses import replace

import numpy as np
import pytest

from kft.features.views import linear, names, neighbours, tokens
from kft.features.views.blend import Folding, fit_blend, fit_tuned_blend, weigh
from kft.features.views.head import HeadView
from kft.features.views.view import Goal, Lesson, ViewInput
from kft.feed.batches import Ragged
from tests.features.views.lessons import CLASSES, ROWS, WIDTH, lesson


@pytest.mark.parametrize("family", [linear, neighbours, tokens, names])
def test_each_view_answers_better_than_chance_out_of_fold(family):
    given = lesson()
    setting, outputs = family.out_of_fold(given, np.arange(ROWS) % 5)
    assert (outputs.argmax(axis=1) == given.targets).mean() > 0.7
    assert np.exp(outputs).sum(axis=1) == pytest.approx(np.ones(ROWS), abs=1e-4)
    fitted = family.fit(given, setting)
    assert fitted.outputs(given.seen).shape == (ROWS, CLASSES)


@pytest.mark.parametrize("family", [linear, neighbours, tokens])
def test_an_answer_out_of_fold_does_not_see_its_own_label(family):
    rng = np.random.default_rng(3)
    noise = Lesson(lesson().seen, rng.integers(0, CLASSES, ROWS), Goal("softmax", CLASSES))
    _, outputs = family.out_of_fold(noise, np.arange(ROWS) % 5)
    assert (outputs.argmax(axis=1) == noise.targets).mean() < 0.45  # labels are coins: nothing but chance is left


def test_copies_in_one_group_do_not_vouch_for_each_other():
    rng = np.random.default_rng(0)
    half = rng.normal(size=(60, WIDTH)).astype(np.float32)
    seen = ViewInput(np.concatenate([half, half]))
    targets = np.tile(rng.integers(0, CLASSES, 60), 2)
    given = Lesson(seen, targets, Goal("softmax", CLASSES))
    apart = fit_blend(given, Folding(targets))
    together = fit_blend(given, Folding(targets, np.tile(np.arange(60), 2)))
    assert (apart.out_of_fold.argmax(axis=1) == targets).mean() > 0.7  # the copy answers
    assert (together.out_of_fold.argmax(axis=1) == targets).mean() < 0.45


@pytest.mark.parametrize("solver", ["softmax", "sigmoid", "squared"])
def test_the_blend_is_no_worse_than_its_best_view_out_of_fold(solver):
    found = fit_blend(given := lesson(solver=solver, noise=2.0), Folding(np.arange(ROWS) % CLASSES))
    assert found.losses["blend"] <= min(loss for name, loss in found.losses.items() if name != "blend") + 1e-6
    new = lesson(1, solver=solver, noise=2.0)
    losses = {view.name: given.goal.losses(view.outputs(new.seen), new.targets).mean() for view in found.blend.views}
    assert given.goal.losses(found.blend.outputs(new.seen), new.targets).mean() < 1.1 * min(losses.values())


def test_a_view_that_says_nothing_has_weight_0():
    given = lesson(noise=0.3)
    useful = linear.out_of_fold(given, np.arange(ROWS) % 5)[1]
    useless = np.random.default_rng(0).normal(size=useful.shape).astype(np.float32)
    weights = weigh({"useful": useful, "useless": useless, "wrong": -useful}, given)
    assert weights["useful"] > 0.5
    assert weights["useless"] < 0.02
    assert weights["wrong"] == 0


def test_a_blend_depends_on_the_seed_alone():
    first, second = (fit_blend(lesson(), Folding(lesson().targets, seed=3)) for _ in range(2))
    assert np.array_equal(first.out_of_fold, second.out_of_fold)
    assert all(np.array_equal(array, second.blend.arrays[name]) for name, array in first.blend.arrays.items())


def test_a_token_that_training_never_saw_is_passed_over():
    view = tokens.fit(lesson(), tokens.STRENGTH)
    new = ViewInput(np.zeros((2, WIDTH), np.float32), Ragged.from_rows([np.array([999_999]), np.array([999_999, 2])]))
    outputs = view.outputs(new)
    assert np.isfinite(outputs).all()
    assert outputs[1].argmax() == 2


def test_a_class_of_one_example_is_answered_by_all_views():
    given = lesson()
    rows = np.flatnonzero((given.targets != 3) | (np.arange(ROWS) == 3))
    found = fit_blend(given.take(rows), Folding(given.targets[rows]))
    assert np.isfinite(found.out_of_fold).all()


def test_a_tuned_blend_is_judged_on_valid_alone():
    train, valid = lesson(0, noise=2.5), lesson(1, noise=2.5)
    by_heart = Lesson(
        ViewInput(np.eye(CLASSES, WIDTH, dtype=np.float32)[train.targets], train.seen.tokens), train.targets, train.goal
    )
    head = HeadView(np.eye(WIDTH, CLASSES, dtype=np.float32), np.zeros(CLASSES, np.float32), train.goal)
    found = fit_tuned_blend(head, by_heart, valid, Folding(valid.targets))
    assert len(found.out_of_fold) == len(valid)  # train, which the backbone knows by heart, is not among what is judged
    assert found.losses["blend"] <= found.losses["head"]
    assert found.weights["tokens"] > 0


def test_row_weights_reach_the_views_and_the_weighing():
    given = lesson(noise=3.0)
    plain = Lesson(ViewInput(given.seen.vectors), given.targets, given.goal)
    heavy = replace(plain, weights=np.where(given.targets == 2, 20, 1).astype(np.float32))
    new = ViewInput(lesson(4, noise=3.0).seen.vectors)
    found = [fit_blend(each, Folding(given.targets)) for each in (plain, heavy)]
    said = [(each.blend.outputs(new).argmax(axis=1) == 2).sum() for each in found]
    assert said[1] > said[0]


def test_choices_are_made_by_a_sample_of_many_rows(monkeypatch):
    from kft.features.views import blend

    monkeypatch.setattr(blend, "MOST_ROWS", 60)
    given = lesson()
    wanted = np.arange(ROWS) >= 100
    found = fit_blend(given, Folding(given.targets, wanted=wanted))
    assert len(found.rows) == 60
    assert set(np.flatnonzero(wanted)) <= set(found.rows)
    assert dict(found.settings)["neighbours"]["examples"] == ROWS + CLASSES  # fitted on all of them
