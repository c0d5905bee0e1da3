"""run.py: kft's own files in one script."""

import ast
from collections import Counter

from kft.deploy.bundle import FIRST, LAST, PARTS, TEXTS, flattened

ALL = (*FIRST, *TEXTS, *(module for part in PARTS for module in part.modules), *LAST)


def test_no_name_is_defined_twice():
    names = Counter()
    for module in ALL:
        for node in ast.parse(flattened(module)).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names[node.name] += 1
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names.update(name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name))
    assert len(names) > 40
    assert {name: count for name, count in names.items() if count > 1} == {}


def test_it_imports_nothing_of_kft():
    tree = ast.parse("\n".join(map(flattened, ALL)))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert "numpy" in modules and not [name for name in modules if name and name.startswith("kft")]
