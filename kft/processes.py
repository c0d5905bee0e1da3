"""Other Pythons that kft starts: none of them looks for modules in the current folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from kft.started import INSTALLED

OWN = Path(__file__).resolve().parents[1]
"""Where this very kft lies."""


def python_module(module: str, *arguments: str) -> list[str]:
    """Returns the command that runs a module in a Python like this one; give it ``clean_environment()``.

    Example:
        >>> python_module("pip", "--version")[1:]
        ['-P', '-m', 'pip', '--version']
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def clean_environment(**values: str) -> dict[str, str]:
    """Returns this process's environment, in which PYTHONPATH names no folder by its place beside the current one.

    Args:
        values: Variables that are set beside it.

    Example:
        >>> clean_environment(TMPDIR="/tmp")["TMPDIR"]
        '/tmp'
    """
    environment = {**os.environ, **values}
    folders = [entry for entry in environment.pop("PYTHONPATH", "").split(os.pathsep) if os.path.isabs(entry)]
    if OWN.name not in INSTALLED and str(OWN) not in folders:  # a checkout, which may have been named by its place
        folders.append(str(OWN))
    return {**environment, "PYTHONPATH": os.pathsep.join(folders)} if folders else environment
