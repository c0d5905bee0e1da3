"""Settings that must stand before TensorFlow loads.

KFT_CACHE stays the user's own, so weights are fetched once.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# Workers that run side by side must not spin while they wait for each other.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Tables are as wide as COLUMNS says, which pytest's workers set: here they are as wide as in a log.
os.environ.pop("COLUMNS", None)

import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import hypothesis
import pytest

from tests import tiny

hypothesis.settings.register_profile("kft", deadline=None)  # how long an example takes says how busy the machine is
hypothesis.settings.load_profile("kft")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So a shell leaves it for what runs in the background; what tests start would inherit it, and hear no Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parents[1]
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


@pytest.fixture(scope="session")
def tiny_images(tmp_path_factory):
    """A tiny convolutional backbone as a person's own .keras file."""
    import keras

    keras.utils.set_random_seed(0)
    pixels = keras.Input((32, 32, 3), name="images")
    x = keras.layers.Rescaling(1 / 128, offset=-1, name="stem_scale")(pixels)
    for block in range(2):
        x = keras.layers.Conv2D(12, 3, strides=2, padding="same", name=f"block_{block:02}_conv")(x)
        x = keras.layers.BatchNormalization(name=f"block_{block:02}_norm")(x)
        x = keras.layers.ReLU(name=f"block_{block:02}_relu")(x)
    path = tmp_path_factory.mktemp("images") / "tiny.keras"
    keras.Model(pixels, x).save(path)
    return path


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """kft as a wheel, built from a copy: a build in this folder would leave its traces there. For slow tests."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("kft", "recipes"):
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(folder), str(folder / "source")]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment that has kft from its wheel, and this one's packages beside it."""
    folder = tmp_path_factory.mktemp("installed") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "others.pth").write_text(sysconfig.get_paths()["purelib"])
    return python


@pytest.fixture
def kft_cli(capsys, tmp_path, monkeypatch):
    """Runs a command in an empty folder; returns exit code, standard output, standard error."""
    from kft.cli import main as cli_main

    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        capsys.readouterr()
        code = cli_main.run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run
