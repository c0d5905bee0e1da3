"""What benchmarks, notebooks and pages import of kft is there: nothing else runs all of them."""

import ast
import importlib
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


def sources() -> Iterator[tuple[str, str]]:
    for folder in ("benchmarks", "notebooks"):
        for path in sorted((ROOT / folder).glob("*.py")):
            yield path.name, path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for code in re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
            if not re.search(r"(?m)^[!%]", code):  # a cell of Colab
                yield path.name, code


def is_there(module: str, name: str) -> bool:
    return hasattr(importlib.import_module(module), name) or (importlib.util.find_spec(f"{module}.{name}") is not None)


def test_every_name_is_there():
    looked_at = 0
    for where, code in sources():
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "kft":
                for alias in node.names:
                    looked_at += 1
                    assert is_there(node.module, alias.name), f"{where}: {node.module}.{alias.name}"
    assert looked_at > 80
