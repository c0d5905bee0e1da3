"""The model that is tried answers as `kft predict` does, and reads nothing but what it was given."""

import pytest

import kft
from kft.errors import DataError
from kft.records.document import as_document
from kft.ui.trying import Trial
from tests import tiny
from tests.cli.planted import write_data

pytestmark = pytest.mark.slow


def test_an_image_is_answered_and_a_text_is_no_path_of_one(folder, tiny_images):
    write_data("image-classification", folder)
    recipe = {"task": "image-classification", "data": {"train": "photos"}, "model": {"backbone": str(tiny_images)}}
    kft.train({**recipe, "train": {"phases": [tiny.PROBE]}}, run="runs/photos-1", quiet=True)
    asked = folder / "photos" / "red" / "0.png"
    trial = Trial(folder)
    found = trial.ask_image("runs/photos-1", asked.read_bytes())
    assert {**as_document(kft.load("runs/photos-1").predict([asked])[0]), "model": "photos-1"} == found
    with pytest.raises(DataError, match="this model reads images"):
        trial.ask("runs/photos-1", [str(asked)])
