"""A model on how words are written: learns what an uncased tokenizer cannot see, and only from what it is given."""

import numpy as np

from kft.features.views import words
from kft.features.views.blend import families
from kft.features.views.view import Goal, Lesson, Seen, Shapes
from kft.tasks.word_shapes import BUCKETS, word_features
from kft.tasks.words import word_places


def lesson(texts: int = 40, seed: int = 0) -> Lesson:
    """Words of texts, of which those in capitals have class 1; their vectors say nothing."""
    rng = np.random.default_rng(seed)
    letters = list("abcdefghij")
    made = []
    for _ in range(texts):
        said = ["".join(rng.choice(letters, 4)) for _ in range(6)]
        made.append(" ".join(word.upper() if rng.random() < 0.4 else word for word in said))
    places = np.concatenate(word_features(made, [word_places(text) for text in made]))
    targets = np.array([int(word.isupper()) for text in made for word in text.split()])
    shapes = Shapes(places, np.repeat(np.arange(texts), 6))
    return Lesson(Seen(np.ones((len(targets), 3), np.float32), None, shapes), targets, Goal("softmax", 2))


def test_capitals_are_learned_and_new_words_answered():
    view, new = words.fit(lesson(), words.STRENGTH), lesson(seed=1)
    outputs = view.outputs(new.seen)
    assert (outputs.argmax(axis=1) == new.targets).mean() > 0.97
    np.testing.assert_allclose(np.exp(outputs).sum(axis=1), 1, atol=1e-5)
    assert view.settings["features"] == len(view.table) - 1 > 10


def test_what_stands_in_one_text_alone_is_no_feature():
    given = lesson()
    view = words.fit(given, words.STRENGTH)
    places = given.seen.shapes.places
    for place in np.random.default_rng(0).choice(np.unique(places), 200):
        stands = len(np.unique(given.seen.shapes.text[(places == place).any(axis=1)]))
        assert (view.row_of_place[place] > 0) == (stands >= words.FEWEST_TEXTS)
    assert view.row_of_place[0] == 0 and not view.table[0].any() and len(view.row_of_place) == BUCKETS


def test_out_of_fold_nothing_of_the_fold_is_seen():
    given = lesson()
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
    first, second = words.fit(lesson(), words.STRENGTH), words.fit(lesson(), words.STRENGTH)
    for name, array in first.arrays.items():
        np.testing.assert_array_equal(array, second.arrays[name])


def test_words_are_read_by_no_other_view():
    assert set(families(lesson())) == {"words"}
