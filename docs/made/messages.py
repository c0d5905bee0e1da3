"""The page of errors and exit codes, from the classes of errors and from the places that raise them."""

import ast
from pathlib import Path

from kft import errors

ROOT = Path(__file__).parents[2] / "kft"
INTRO = """# Errors and exit codes

| exit code | means |
| --- | --- |
| 0 | done |
| 1 | a gate, an edge case, an error finding or drift says no |
| 2 | usage, recipe or data: something to be mended here |
| 3 | anything unexpected: weights, the network, the disk, training itself |
| 130, 143 | Ctrl-C, SIGTERM |

An error has one sentence that says what is wrong, then up to four lines: `where`, `received`, `expected` and `next`.
`--debug` adds the traceback. In Python each is an exception of the kinds below. In the lists, `…` stands for what the
message names.
"""


def page() -> str:
    """The whole page."""
    kinds = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.KftError)]
    found = sorted(set(messages()))
    parts = [INTRO]
    for kind in kinds[1:]:
        said = [text for name, text in found if name == kind.__name__]
        parts.append(f"## {kind.__name__}: exit code {kind.exit_code}\n\n{kind.__doc__}")
        parts.append("\n".join(f"- {_safe(text)}" for text in said))
    return "\n\n".join(parts) + "\n"


def messages():
    """Yields the kind and the sentence of every error that is raised on purpose; … stands for what it names."""
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and hasattr(errors, node.func.id)
                and node.args
            ):
                text = _text(node.args[0])
                if text and text.strip(" …"):
                    yield node.func.id, text


def _text(node):
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return None


def _safe(text):
    return text.replace("\\", "\\\\").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_").replace("[", "\\[")
