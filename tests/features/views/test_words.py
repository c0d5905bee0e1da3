"""A model on how words are written: learns what an uncased tokenizer cannot see, and only from what it is given."""

import numpy as np

from kft.features.views import words
from kft.features.views.blend import families
from kft.features.views.view import Lesson
from kft.tasks.word_shapes import BUCKETS
from tests.features.views.lessons import tagged_words


def test_capitals_are_learned_and_new_words_answered():
    view, new = words.fit(tagged_words(), words.STRENGTH), tagged_words(seed=1)
    outputs = view.outputs(new.seen)
    assert (outputs.argmax(axis=1) == new.targets).mean() > 0.97
    np.testing.assert_allclose(np.exp(outputs).sum(axis=1), 1, atol=1e-5)
    assert view.settings["features"] == len(view.table) - 1 > 10


def test_what_stands_in_one_text_alone_is_no_feature():
    given = tagged_words()
    view = words.fit(given, words.STRENGTH)
    places = given.seen.shapes.places
    for place in np.random.default_rng(0).choice(np.unique(places), 200):
        stands = len(np.unique(given.seen.shapes.text[(places == place).any(axis=1)]))
        assert (view.row_of_place[place] > 0) == (stands >= words.FEWEST_TEXTS)
    assert view.row_of_place[0] == 0 and not view.table[0].any() and len(view.row_of_place) == BUCKETS


def test_out_of_fold_nothing_of_the_fold_is_seen():
    given = tagged_words()
    fold_of = given.seen.shapes.text % 4
    _, found = words.out_of_fold(given, fold_of)
    wrong = np.array(given.targets)
    wrong[fold_of == 2] = 1 - wrong[fold_of == 2]
    _, other = words.out_of_fold(Lesson(given.seen, wrong, given.goal), fold_of)
    np.testing.assert_array_equal(found[fold_of == 2], other[fold_of == 2])
    assert (found[fold_of != 2] != other[fold_of != 2]).any()
    _, one = words.out_of_fold(given, fold_of, only=2)
    np.testing.assert_array_equal(one[fold_of == 2], found[fold_of == 2])
    assert not one[fold_of != 2].any()


def test_it_is_the_same_whatever_the_order_of_fitting():
    first, second = words.fit(tagged_words(), words.STRENGTH), words.fit(tagged_words(), words.STRENGTH)
    for name, array in first.arrays.items():
        np.testing.assert_array_equal(array, second.arrays[name])


def test_words_are_read_by_no_other_view():
    assert set(families(tagged_words())) == {"words"}
