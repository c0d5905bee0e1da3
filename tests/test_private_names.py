"""Every private name of Keras that kft relies on stands in docs/dependencies.md, and none that it does not."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
OTHERS = {"_repr_html_", "_asdict", "_replace", "_fields", "_exit"}
"""Names that Python and IPython made for everybody."""


def private_names(code):
    """Yields names that begin with one underscore, asked of something that is not one's own object."""
    asked = set(re.findall(r"\.\s*(_[a-z]\w*)", code)) - OTHERS
    own = set(re.findall(r"^\s*(?:async\s+def|def|class)\s+(\w+)", code, re.MULTILINE))
    if not asked - own:
        return  # reading code as text is quicker than as a tree
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Attribute) and re.match(r"_[a-z]", node.attr) and node.attr not in own | OTHERS:
            inside = node.value
            if not (isinstance(inside, ast.Name) and inside.id in ("self", "cls")):
                yield node.attr


def test_the_table_names_every_private_name():
    used = set()
    files = sorted((ROOT / "kft").rglob("*.py"))
    assert len(files) > 200
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    for path, code in texts.items():
        used |= {(name, path.name) for name in private_names(code)}
    table = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8").split("## Private names of Keras")[1]
    listed = set(re.findall(r"`(_\w+)`", table))
    assert {name for name, _ in used} <= listed, sorted(used)
    words = set(re.findall(r"\b_\w+", "\n".join(texts.values())))
    assert sorted(listed - words) == []
    guards = set(re.findall(r"(tests/[\w/]+\.py)", table))
    assert guards and all((ROOT / guard).is_file() for guard in guards)
