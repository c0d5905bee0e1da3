"""Makes an artifact's run.py: kft's own files that need nothing but NumPy and a runtime, one after the other.

So an artifact reads and answers with the very code that kft reads and answers with, and there is no second one.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from kft import __version__
from kft.records.shipped import About

FIRST = ("kft.characters", "kft.errors", "kft.tasks.decode", "kft.data.entities", "kft.deploy.runner.trace")
TEXTS = ("kft.model.panics", "kft.tasks.windows", "kft.model.token_rows", "kft.deploy.runner.reading")
LAST = (
    *("kft.deploy.runner.answers", "kft.deploy.runner.engines"),
    *("kft.deploy.runner.model", "kft.deploy.runner.command"),
)


@dataclass(frozen=True)
class BundlePart:
    """Files that some artifacts need beside those that all do.

    Attributes:
        modules: In their order.
        packages: What they need, as pip takes it.
        wanted: Whether an artifact does.
    """

    modules: tuple[str, ...]
    packages: tuple[str, ...]
    wanted: Callable[[About], bool]


PARTS = (
    BundlePart((), ("tokenizers>=0.23,<0.24",), lambda about: about.reader.kind != "image"),
    BundlePart(
        ("kft.data.images", "kft.deploy.runner.reading_images"),
        ("pillow>=12.3,<13",),
        lambda about: about.reader.kind == "image",
    ),
    BundlePart(
        ("kft.tasks.words", "kft.tasks.word_shapes", "kft.deploy.runner.reading_words"),
        ("regex>=2026.11,<2027",),
        lambda about: about.answers == "spans",
    ),
    BundlePart(
        ("kft.recipe.personal_kinds", "kft.data.personal"),
        ("phonenumbers>=9.0.43,<10", "python-stdnum>=2.2,<3"),
        lambda about: bool(about.reader.redact),
    ),
)


def packages_for(about: About) -> tuple[str, ...]:
    """Returns what an artifact needs beside its runtime, as pip takes it."""
    return ("numpy>=2,<3", *(package for part in PARTS if part.wanted(about) for package in part.packages))


def modules_for(about: About) -> tuple[str, ...]:
    """Returns kft's files that make up an artifact's run.py."""
    return (*FIRST, *TEXTS, *(module for part in PARTS if part.wanted(about) for module in part.modules), *LAST)


HEAD = '''"""Answers with the model beside this file: `python run.py FILE`, or `python run.py -` for standard input.

Needs: {packages}. Made by kft {version}; these are its own files, one after the other.
"""

from __future__ import annotations
'''
TAIL = """
if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent, sys.argv[1:]))
"""


def run_script(about: About) -> str:
    """Returns the text of an artifact's run.py."""
    parts = [HEAD.format(packages=", ".join(about.packages), version=__version__)]
    return "\n\n".join([*parts, *map(flattened, modules_for(about))]) + "\n" + TAIL


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
