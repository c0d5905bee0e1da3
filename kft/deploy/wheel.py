"""An artifact as a wheel: `pip install` brings what it needs, and `import NAME` answers."""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
from pathlib import Path

from kft.records.files import writing
from kft.records.shipped import About

INIT = '''"""A model: `predict(["an input"])` answers, and `python -m {module} FILE` likewise. Made by kft."""

import json
from functools import cache
from pathlib import Path

from .run import open_model, require_whole, warn_cut

FOLDER = Path(__file__).resolve().parent


@cache
def model():
    """Opens the model once, after comparing its files with their sha256."""
    about = json.loads((FOLDER / "artifact.json").read_text(encoding="utf-8"))
    require_whole(FOLDER, about["files"])
    return open_model(FOLDER, about)


def predict(inputs):
    """Returns one answer an input, in order; warns of texts of which a part is not read."""
    warn_cut(model().cut(inputs))
    return model().predict(inputs)
'''
MAIN = """import sys

from . import FOLDER
from .run import main

sys.exit(main(FOLDER, sys.argv[1:]))
"""
WHEEL = "Wheel-Version: 1.0\nGenerator: kft\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def write_wheel(artifact: Path, about: About, folder: Path) -> Path:
    """Writes an artifact as a wheel, whole or not at all.

    Args:
        artifact: The folder from ``kft export``.
        about: Its artifact.json.
        folder: Where the wheel goes.

    Returns:
        The wheel. Its package is called as the model is, with ``_model``; its version ends in the artifact's.

    Raises:
        StorageError: The disk is full or the folder cannot be written.
    """
    module, version = module_name(about.name), _version(about)
    facts = f"{module}-{version}.dist-info"
    texts = {
        f"{module}/__init__.py": INIT.replace("{module}", module),
        f"{module}/__main__.py": MAIN,
        f"{facts}/METADATA": _metadata(module, version, about),
        f"{facts}/WHEEL": WHEEL,
    }
    path = folder / wheel_name(about)
    with writing(path, elsewhere="choose another DEST") as file, zipfile.ZipFile(file, "w") as wheel:
        record = []
        for name, content in texts.items():
            wheel.writestr(name, content)
            record.append(_recorded(name, content.encode()))
        for source in sorted(each for each in artifact.rglob("*") if each.is_file()):
            name = f"{module}/{source.relative_to(artifact).as_posix()}"
            wheel.write(source, name)
            record.append(_recorded(name, source.read_bytes()))
        wheel.writestr(f"{facts}/RECORD", "".join([*record, f"{facts}/RECORD,,\n"]))
    return path


def wheel_name(about: About) -> str:
    """Returns what the file of an artifact's wheel is called."""
    return f"{module_name(about.name)}-{_version(about)}-py3-none-any.whl"


def _version(about: About) -> str:
    return f"1.0+{about.version}"


def module_name(name: str) -> str:
    """Returns what a model's package is called: no name that a library could have.

    Example:
        >>> module_name("product-reviews.2"), module_name("2024")
        ('product_reviews_2_model', 'model_2024')
    """
    found = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_").lower()
    return f"model_{found}" if not found or found[0].isdigit() else f"{found}_model"


def _metadata(module: str, version: str, about: About) -> str:
    lines = ["Metadata-Version: 2.1", f"Name: {module}", f"Version: {version}", f"Summary: {about.task}, made by kft"]
    return "\n".join([*lines, "Requires-Python: >=3.11", *(f"Requires-Dist: {each}" for each in about.packages)]) + "\n"


def _recorded(name: str, content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(content)}\n"
