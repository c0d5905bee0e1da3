"""Which phase is kept: what is beyond chance in the few rows of valid."""

import numpy as np

from kft.feed.batches import Ragged
from kft.recipe.schema import RecipeSpec
from kft.tasks.registry import TASKS
from kft.tasks.task import AnswerSpace
from kft.train.answers import outputs_as_arrays
from kft.train.best import gains
from kft.train.callbacks import CallbackDriver
from kft.train.job import Job, Labelled, LoopState, TrainData
from kft.train.progress import Progress


def tagged(rows, words):
    """Returns a split of texts of so many words, a third of them names, as training takes it."""
    rng = np.random.default_rng(0)
    kind, space = TASKS.get("token-tagging").kind, AnswerSpace(("name",))
    targets = [rng.choice([1, 1, 2], words) for _ in range(rows)]
    offsets = [np.array([[5 * place, 5 * place + 4, 1] for place in range(words)])] * rows
    sure = [4 * np.eye(3)[tags - 1] for tags in targets]
    part = Labelled(None, targets, kind.judging.answers(sure, space, offsets), offsets)
    truth = kind.judging.truth([[span[:3] for span in spans] for spans in part.truth], space)
    part = Labelled(None, targets, truth, offsets)
    return TrainData(part, part, kind, space, np.ones(rows, np.float32))


def test_a_gain_that_few_entities_do_not_show_is_seen_in_their_words():
    data = tagged(200, 6)
    rng = np.random.default_rng(1)
    dear = [np.float32(2.5 * np.eye(3)[tags - 1] + rng.normal(size=(6, 3))) for tags in data.valid.targets]
    cheap = [each / 2 for each in dear]  # the same tags, less sure than they may be
    recipe = {"task": "token-tagging", "data": {"train": "a.jsonl"}, "train": {"best": "valid_entity_f1"}}
    job = Job(None, "", data, (), RecipeSpec.model_validate(recipe), CallbackDriver(None, []), Progress(quiet=True))
    state = LoopState()
    for name, outputs in (("cheap", cheap), ("dear", dear)):
        state.phase_answers[name] = outputs_as_arrays(Ragged.from_rows(outputs))
    found = gains(job, state, "dear", "cheap")
    assert list(found) == ["entity_f1", "word_log_loss"]
    assert found["entity_f1"].value >= 0 >= found["entity_f1"].low
    assert found["word_log_loss"].low > 0, "above 0 is better"
    back = gains(job, state, "cheap", "dear")
    assert back["word_log_loss"].high < 0
