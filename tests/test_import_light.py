"""`import kft` and `kft --help` load neither TensorFlow nor Keras."""

import json
import subprocess
import sys

import pytest

CHECK = """
import sys
heavy = [name for name in ("tensorflow", "keras", "keras_hub") if name in sys.modules]
sys.exit(str(heavy) if heavy else 0)
"""
QUICK = """
import sys
slow = {"pandas.core", "pydantic", "ruamel.yaml", "pyarrow", "PIL"} & set(sys.modules)
sys.exit(str(slow) if slow else 0)
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


def test_the_list_of_commands_loads_nothing_slow():
    done = run_fresh(HELP.format(arguments=["--help"]) + QUICK)
    assert done.returncode == 0, done.stderr


def test_what_commands_call_is_light():
    """Else TensorFlow would start before kft has told it how, and print what kft keeps back."""
    every = "import importlib, pkgutil, kft.api\nfor each in pkgutil.iter_modules(kft.api.__path__):\n"
    done = run_fresh(f"{every}    importlib.import_module(f'kft.api.{{each.name}}')\n{CHECK}")
    assert done.returncode == 0, done.stderr


def test_a_backbone_that_is_not_there_is_said_before_tensorflow_loads():
    """What imports Keras before ``kft.runtime`` has set TensorFlow up has it print, and its idle threads spin."""
    lines = """
from kft.errors import ModelError
from kft.tasks.recipes import load_recipe
from kft.train.start import load_for
recipe = {"task": "text-classification", "data": {"train": "a.csv"}, "model": {"backbone": "no-such"}}
try:
    load_for(load_recipe(recipe).spec)
except ModelError:
    pass
else:
    raise SystemExit(1)
"""
    done = run_fresh(lines + CHECK)
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
runtime.load_keras_hub()
unused = {"sklearn", "matplotlib", "scipy", "tensorflow_text", "pandas.core"} & set(sys.modules)
assert {"keras", "keras_hub"} <= set(sys.modules) and not unused, unused
import sklearn, matplotlib, scipy, tensorflow_text  # they are there for whoever asks later
"""
    subprocess.run([sys.executable, "-c", lines], check=True)


def test_a_command_imports_pandas_once_something_of_it_is_asked_for():
    lines = """
import importlib.util, sys
from kft import runtime
runtime.own_this_process()
import pandas as pd
assert importlib.util.find_spec("pandas").name == "pandas" and "pandas.core" not in sys.modules
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(8) as pool:
    frames = list(pool.map(lambda number: pd.DataFrame({"a": [number]}), range(8)))
import pandas
assert isinstance(frames[3], pandas.DataFrame) and pd.DataFrame is pandas.DataFrame
from pandas.api.types import is_scalar
assert is_scalar(1) and int(frames[3].a.iloc[0]) == 3
"""
    subprocess.run([sys.executable, "-c", lines], check=True)


def test_small_products_run_on_one_thread_whatever_is_imported_by_then():
    """SciPy has a BLAS of its own: a limit that is set before it is loaded would not reach it."""
    found = run_fresh(
        "import json; import numpy; from threadpoolctl import threadpool_info\n"
        "from kft.runtime import one_blas_thread\n"
        "with one_blas_thread():\n"
        "    import scipy.optimize\n"
        "    pools = [pool for pool in threadpool_info() if pool['user_api'] == 'blas']\n"
        "    print(json.dumps([(pool['num_threads'], pool['filepath']) for pool in pools]))"
    )
    pools = json.loads(found.stdout)
    assert len(pools) >= 2, found.stderr
    assert {threads for threads, _ in pools} == {1}, pools
