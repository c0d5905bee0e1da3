"""A run that is retrained and queued for, trained once."""

import pytest

import kft
from tests.retrain import made


@pytest.fixture(scope="session")
def champion(tiny_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("champion")
    recipe = kft.load_recipe(made.recipe(folder, tiny_folder), base=folder)
    return kft.train(recipe, run=folder / "run", quiet=True).run
