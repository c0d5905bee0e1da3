"""Makes an artifact's run.py: kft's own files that need nothing but NumPy and a runtime, one after the other.

So an artifact reads and answers with the very code that kft reads and answers with, and there is no second one.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

READS_TEXT = (
    *("kft.characters", "kft.errors", "kft.tasks.decode", "kft.model.panics", "kft.model.token_rows"),
    *("kft.data.entities",),
)
RUNS = (
    *("kft.deploy.runner.trace", "kft.deploy.runner.reading", "kft.deploy.runner.answers"),
    *("kft.deploy.runner.engines", "kft.deploy.runner.model", "kft.deploy.runner.command"),
)
HEAD = '''"""Answers with the model beside this file: `python run.py FILE`, or `python run.py -` for standard input.

Needs: {packages}. Made by kft {version}; these are its own files, one after the other.
"""

from __future__ import annotations
'''
TAIL = """
if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent, sys.argv[1:]))
"""


def run_script(packages: Sequence[str], version: str) -> str:
    """Returns the text of run.py.

    Args:
        packages: What it needs, as pip takes it.
        version: Of kft.
    """
    parts = [HEAD.format(packages=", ".join(packages), version=version)]
    parts += [flattened(module) for module in (*READS_TEXT, *RUNS)]
    return "\n\n".join(parts) + "\n" + TAIL


def flattened(module: str) -> str:
    """Returns a module's source without its imports of kft: what they name stands further up in the same script."""
    found = find_spec(module)
    assert found is not None and found.origin is not None
    source = Path(found.origin).read_text(encoding="utf-8")
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("kft", "__future__"):
            assert node.end_lineno is not None
            indent = " " * node.col_offset
            lines[node.lineno - 1 : node.end_lineno] = [
                f"{indent}pass" if indent and number == 0 else "" for number in range(node.end_lineno - node.lineno + 1)
            ]
    return f"# {module}\n" + "\n".join(lines).strip("\n")
