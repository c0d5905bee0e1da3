"""Settings of a comparison on texts of two classes, without a backbone."""

import numpy as np

from kft.compare.setting import Setting
from kft.data.examples import Examples
from kft.split.data_split import Selection
from kft.tasks.classes import CLASSES
from kft.tasks.recipes import load_recipe
from kft.tasks.task import AnswerSpace
from kft.train.progress import Progress
from tests import tiny

ROWS, TRAIN = 200, 160


def setting_of(texts=None, labels=None, groups=None):
    made, right = tiny.texts_and_labels(ROWS)
    texts, labels = texts or made, right if labels is None else labels
    ids = np.array([str(row) for row in range(ROWS)])
    examples = Examples(ids, list(texts), np.array(labels, object), groups)
    train, valid = (examples.take(rows) for rows in (np.arange(TRAIN), np.arange(TRAIN, ROWS)))
    spec = load_recipe({"task": "text-classification", "data": {"train": "a.csv"}}).spec
    return Setting(
        spec, Selection(train, valid, CLASSES, AnswerSpace(tuple(sorted(set(labels))))), Progress(quiet=True)
    )
