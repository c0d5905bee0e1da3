"""`import kft` and `kft --help` load neither TensorFlow nor Keras."""

import subprocess
import sys

import pytest

HEAVY = ("tensorflow", "keras", "keras_hub")
CHECK = f"""
import sys
heavy = [name for name in {HEAVY!r} if name in sys.modules]
sys.exit(str(heavy) if heavy else 0)
"""
HELP = """
import sys
from kft.cli.main import main
sys.argv = ["kft", *{arguments!r}]
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
"""


def run_fresh(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)


def test_import_is_light():
    done = run_fresh(f"import kft\nassert kft.__version__\n{CHECK}")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"]])
def test_help_is_light(arguments):
    done = run_fresh(HELP.format(arguments=arguments) + CHECK)
    assert done.returncode == 0, done.stderr
    assert "kft" in done.stdout


def test_what_commands_call_is_light():
    """Else TensorFlow would start before kft has told it how, and print what kft keeps back."""
    every = "import importlib, pkgutil, kft.api\nfor each in pkgutil.iter_modules(kft.api.__path__):\n"
    done = run_fresh(f"{every}    importlib.import_module(f'kft.api.{{each.name}}')\n{CHECK}")
    assert done.returncode == 0, done.stderr


def test_the_check_itself_sees_a_heavy_import():
    done = run_fresh(f"import sys; sys.modules['tensorflow'] = sys\n{CHECK}")
    assert done.returncode == 1
    assert "tensorflow" in done.stderr


def test_a_command_loads_keras_without_what_only_its_wrappers_use():
    lines = """
import sys
from kft import runtime
runtime.own_this_process()
runtime.load_tensorflow()
assert "keras" in sys.modules and not {"sklearn", "matplotlib"} & set(sys.modules)
import sklearn, matplotlib  # they are there for whoever asks later
"""
    subprocess.run([sys.executable, "-c", lines], check=True)
