"""Settings that must stand before TensorFlow loads.

KFT_CACHE stays the user's own, so weights are fetched once.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# Workers that run side by side must not spin while they wait for each other.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from pathlib import Path

import pytest

from tests import tiny

LONGEST = ("test_5_one_recipe", "test_4_kill_it", "test_as_a_person", "test_resume", "test_tasks", "test_plan")
"""The files that take minutes, first: the workers share files out in this order, and would wait for a late one."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Brings the longest files to the front."""

    def rank(item: pytest.Item) -> int:
        found = [place for place, name in enumerate(LONGEST) if item.path.name.startswith(name)]
        return found[0] if found else len(LONGEST)

    items.sort(key=rank)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny random backbone."""
    return tiny.write_backbone(tmp_path_factory.mktemp("tiny-bert"))
