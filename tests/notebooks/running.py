"""Runs a notebook as Jupyter does: a kernel of its own, in an empty folder, with an empty home."""

from __future__ import annotations

import json
import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from kft import assets


def run_notebook(path: Path, folder: Path, python: Path, **environ: str) -> nbformat.NotebookNode:
    """Executes every cell; an error in one is an error here.

    Args:
        path: The notebook.
        folder: Where it runs; new or empty.
        python: The interpreter whose kft it uses.
        environ: Variables beside those of this process.
    """
    kernel = folder / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    work = folder / "work"
    work.mkdir()
    (kernel / "kernel.json").write_text(
        json.dumps(
            {
                "argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
                "display_name": "kft",
                "language": "python",
                "env": {
                    "HOME": str(folder),
                    "IPYTHONDIR": str(folder / "ipython"),
                    "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
                    "PATH": f"{python.parent}:{os.environ['PATH']}",  # where `!kft` is
                    "KFT_CACHE": str(assets.cache_dir()),  # weights and data are fetched once
                    **environ,
                },
            }
        )
    )
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, kernel_name="python3", timeout=900, resources={"metadata": {"path": str(work)}})
    before = os.environ.get("JUPYTER_PATH")
    os.environ["JUPYTER_PATH"] = str(kernel.parents[1])
    try:
        client.execute()
    finally:
        os.environ.pop("JUPYTER_PATH") if before is None else os.environ.update(JUPYTER_PATH=before)
    return notebook


def shown(cell: nbformat.NotebookNode) -> str:
    """Returns all that a cell shows, as text and as HTML."""
    parts = []
    for output in cell.outputs:
        data = output.get("data", {})
        parts += [output.get("text", ""), data.get("text/plain", ""), data.get("text/html", "")]
    return "\n".join(parts)
