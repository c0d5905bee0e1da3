"""Writes each notebook (.ipynb) from its script (.py): `make notebooks`.

The scripts are what people edit, in jupytext's percent format. What every notebook has in common is added here, so that
it stands in one place: the Colab badge under the title, and the cell that installs kft. Notebooks hold no outputs:
those would rot; the tests execute them.
"""

from __future__ import annotations

from pathlib import Path

import jupytext
import nbformat

REPOSITORY = "OWNER/kft"
"""Where the notebooks are published on GitHub. kft has no public home yet: set this to yours, then `make notebooks`."""
BRANCH = "main"

FOLDER = Path(__file__).resolve().parent
BADGE = (
    "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    f"(https://colab.research.google.com/github/{REPOSITORY}/blob/{BRANCH}/notebooks/{{name}}.ipynb)"
)
SETUP = f"""\
# @title Install kft: run this first {{ display-mode: "form" }}
# Only where it is missing, as in Colab. Then it asks for a restart, once: a running session keeps old versions.
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

KFT = "git+https://github.com/{REPOSITORY}"  # or the wheel that you uploaded: "kft-0.1.0-py3-none-any.whl"
LATEST = "Runtime > Change runtime type > Runtime version > Latest. All of it stands in docs/colab.md"

if find_spec("kft") is None:
    try:
        tensorflow = version("tensorflow")
    except PackageNotFoundError:
        if find_spec("libtpu") is not None:
            raise SystemExit("A TPU runtime has no TensorFlow. Install its own first: docs/colab.md, TPU") from None
        tensorflow = ""
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        raise SystemExit(f"kft needs Python 3.11 to 3.13, and this is {{sys.version.split()[0]}}. {{LATEST}}")
    if tensorflow and not tensorflow.startswith(("2.20.", "2.21.")):
        raise SystemExit(f"kft needs TensorFlow 2.20 or 2.21, and this is {{tensorflow}}. {{LATEST}}")
    keep = [f"tensorflow=={{tensorflow}}"] if tensorflow else []  # the one that is there stays, with its GPU support
    done = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", KFT, *keep])
    raise SystemExit(
        f"kft was not installed: {{KFT}}. docs/colab.md says what goes wrong"
        if done.returncode
        else "kft is installed. Now choose Runtime > Restart session, then Runtime > Run all."
    )
import kft

print("kft", kft.__version__, "is ready")"""
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def scripts() -> list[Path]:
    """Returns the scripts, sorted by name."""
    return sorted(path for path in FOLDER.glob("*.py") if path.name != Path(__file__).name)


def as_notebook(script: Path) -> str:
    """Returns the text of the notebook that belongs to a script.

    Raises:
        ValueError: The script does not begin with a cell of text.
    """
    notebook = jupytext.read(script, fmt="py:percent")
    title, *rest = notebook.cells
    if title.cell_type != "markdown":
        raise ValueError(f"{script.name} begins with code; expected a cell of text with the title")
    heading, _, text = title.source.partition("\n")
    title.source = f"{heading}\n\n{BADGE.format(name=script.stem)}\n{text}"
    cells = [title, nbformat.v4.new_code_cell(SETUP), *rest]
    for number, cell in enumerate(cells):
        cell.id, cell.metadata = f"{script.stem}-{number}", {}  # random ids would make each file look changed
    return nbformat.writes(nbformat.v4.new_notebook(cells=cells, metadata=METADATA)) + "\n"


def main() -> None:
    """Writes every notebook."""
    for script in scripts():
        script.with_suffix(".ipynb").write_text(as_notebook(script), encoding="utf-8")
        print(script.with_suffix(".ipynb").name)


if __name__ == "__main__":
    main()
