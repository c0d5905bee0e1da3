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


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny random backbone."""
    return tiny.write_backbone(tmp_path_factory.mktemp("tiny-bert"))
