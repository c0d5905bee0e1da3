"""The page of errors and exit codes, from the classes of errors and from the places that raise them."""

import ast
from functools import cache
from pathlib import Path

from kft import errors

SENTENCE_AT = {"lacking": 1, "require": 2}
"""By function of kft/extras.py, where the sentence stands among what it takes."""
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
`--debug` adds the traceback. In Python each is an exception of the kinds below.
[Troubleshooting](../troubleshooting.md) explains the most frequent ones. In the lists, `…` stands for what the
message names.
"""


def page() -> str:
    """The whole page."""
    kinds = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.KftError)]
    found = sorted(messages())
    parts = [INTRO]
    for kind in kinds[1:]:
        said = [text for name, text in found if name == kind.__name__]
        parts.append(f"## {kind.__name__}: exit code {kind.exit_code}\n\n{kind.__doc__}")
        parts.append("\n".join(f"- {_safe(text)}" for text in said))
    return "\n\n".join(parts) + "\n"


@cache
def messages() -> frozenset[tuple[str, str]]:
    """The kind and the sentence of every error that is raised on purpose; … stands for what it names."""
    texts = (path.read_text(encoding="utf-8") for path in ROOT.rglob("*.py"))
    calls = (node for text in texts for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    said = ((kind, _text(sentence)) for call in calls for kind, sentence in _raised(call))
    return frozenset((kind, text) for kind, text in said if text and text.strip(" …"))


def _raised(call):
    """The kind and the sentence of an error that a call makes, itself or by kft/extras.py."""
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    if isinstance(getattr(errors, name, None), type) and call.args:
        yield name, call.args[0]
    if name in SENTENCE_AT and len(call.args) > SENTENCE_AT[name]:
        kind = next((word.value.id for word in call.keywords if word.arg == "error"), "UsageError")
        yield kind, call.args[SENTENCE_AT[name]]


def _text(node):
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    if isinstance(node, ast.BinOp):  # what follows is said only sometimes, such as a near miss
        return _text(node.left)
    return None


def _safe(text):
    return text.replace("\\", "\\\\").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_").replace("[", "\\[")
