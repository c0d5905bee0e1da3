"""What decides an answer can ship: it imports NumPy, the standard library, and other files of the same kind."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHIPPED = (
    "kft/answer/decide.py",
    "kft/metrics/neighbours.py",
    "kft/records/estimate.py",
    "kft/records/fields.py",
    "kft/records/rules.py",
    "kft/tasks/decode.py",
)


def imported(source):
    """Yields what a file imports, at any depth."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module if not node.level else "." * node.level


def foreign(source):
    """Returns the imports that keep a file from being shipped."""
    own = {path.removesuffix(".py").replace("/", ".") for path in SHIPPED}
    names = list(imported(source))
    assert names
    return [name for name in names if name.split(".")[0] not in {"numpy", *sys.stdlib_module_names} and name not in own]


@pytest.mark.parametrize("path", SHIPPED)
def test_what_decides_needs_numpy_alone(path):
    assert foreign((ROOT / path).read_text(encoding="utf-8")) == []


def test_another_import_is_caught():
    planted = "import numpy\ndef f():\n    from kft.errors import KftError\n    import scipy.stats\n"
    assert foreign(planted) == ["kft.errors", "scipy.stats"]
