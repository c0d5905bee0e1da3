"""Every private name of Keras that kft relies on stands in docs/dependencies.md, and none that it does not."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
OTHERS = {"_repr_html_", "_asdict", "_replace", "_fields", "_exit"}
"""Names that Python and IPython made for everybody."""


def private_names(tree):
    """Yields names that begin with one underscore, asked of something that is not one's own object."""
    own = {
        each.name for each in ast.walk(tree) if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and re.match(r"_[a-z]", node.attr) and node.attr not in own | OTHERS:
            inside = node.value
            if not (isinstance(inside, ast.Name) and inside.id in ("self", "cls")):
                yield node.attr


def test_the_table_names_every_private_name():
    used = set()
    files = sorted((ROOT / "kft").rglob("*.py"))
    assert len(files) > 200
    for path in files:
        used |= {(name, path.name) for name in private_names(ast.parse(path.read_text(encoding="utf-8")))}
    table = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8").split("## Private names of Keras")[1]
    listed = set(re.findall(r"`(_\w+)`", table))
    assert {name for name, _ in used} <= listed, sorted(used)
    code = "\n".join(path.read_text(encoding="utf-8") for path in files)
    assert [name for name in sorted(listed) if not re.search(rf"\b{name}\b", code)] == []
    guards = set(re.findall(r"(tests/[\w/]+\.py)", table))
    assert guards and all((ROOT / guard).is_file() for guard in guards)
