"""A recipe for a comparison on the tiny backbone: train and test in files of their own."""

import csv
import json

from tests import tiny

LIGHT = "linear,names,retrieval,probe"


def write_recipe(folder, backbone, rows=240, *, labels=None, **values):
    """A recipe whose train and test are files; labels can be others than the words say."""
    texts, right = tiny.texts_and_labels(rows)
    right = right if labels is None else labels
    for name, part in (("train", slice(rows // 2)), ("test", slice(rows // 2, rows))):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *zip(texts[part], right[part], strict=True)])
    path = folder / "tickets.yaml"
    data = {"train": "train.csv", "valid": "40%", "test": "test.csv"}
    path.write_text(
        json.dumps({"task": "text-classification", "data": data, "model": {"backbone": str(backbone)}} | values)
    )
    return path
