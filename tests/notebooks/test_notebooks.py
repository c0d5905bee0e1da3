"""The notebooks: what their scripts say, and executed from top to bottom."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from notebooks import sync
from tests.notebooks.running import run_notebook, shown

ROOT = Path(__file__).parents[2]
NAMES = ("bring_your_own_csv", "compare_and_decide", "keep_it_true", "photos", "quickstart", "several_devices")
INTERVAL = r"\d\.\d{3}(?: |<br>)\[\d\.\d{3}, \d\.\d{3}\]"


def test_there_are_six():
    assert tuple(script.stem for script in sync.scripts()) == NAMES
    assert {path.stem for path in sync.FOLDER.glob("*.ipynb")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_is_what_its_script_says(name):
    found = (sync.FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")
    assert found == sync.as_notebook(sync.FOLDER / f"{name}.py"), "run: make notebooks"
    assert f"{sync.REPOSITORY}/blob/{sync.BRANCH}/notebooks/{name}.ipynb" in found


def test_a_script_that_begins_with_code_is_refused(tmp_path):
    (tmp_path / "bare.py").write_text("# %%\n1 + 1\n")
    with pytest.raises(ValueError, match="begins with code; expected a cell of text"):
        sync.as_notebook(tmp_path / "bare.py")


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (
            {"tensorflow": "2.19.0"},
            "kft needs TensorFlow 2.20 or 2.21, and this is 2.19.0. Runtime > Change runtime type",
        ),
        ({"libtpu": "0.0.21"}, "A TPU runtime has no TensorFlow. Install its own first"),
        ({"tensorflow": "2.20.0"}, "kft was not installed: git+https://github.com/"),  # pip is not there
    ],
)
def test_the_first_cell_says_exactly_what_to_do(tmp_path, there, said):
    """In a Python without packages, but for those that are put there."""
    for name, version in there.items():
        (tmp_path / f"{name}.py").touch()
        (tmp_path / f"{name}-{version}.dist-info").mkdir()
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (tmp_path / f"{name}-{version}.dist-info" / "METADATA").write_text(text)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{sync.SETUP}"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and said in done.stderr, done.stderr


def require_result(name, notebook):
    """The last cell of code shows what the notebook promises; nothing floods the page on the way."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    text = shown(cells[-1])
    everything = "\n".join(map(shown, cells))
    if name == "quickstart":
        assert re.search(r"negative|positive", text) and re.search(r"\d+%", text)
    elif name == "bring_your_own_csv":
        assert re.search(r"happy|unhappy", text) and re.search(r"\d+%", text)
        assert "unusable-rows" in everything and "duplicates" in everything  # the flaws that were planted
    elif name == "photos":
        assert any("image/png" in output.get("data", {}) for output in cells[-1].outputs)
    elif name == "keep_it_true":
        assert "no alarm" in everything and "first alarm" in everything
        assert text.count("<td>promote</td>") == 2 and "on new rows better" in text  # the bad one is not in the trail
        assert "on new rows it is not better beyond chance" in everything
    elif name == "compare_and_decide":
        assert re.match(r"Take: (majority|linear|names|retrieval|probe)\n\w+", text)
    else:
        assert "100% have the same answer" in text
        assert float(re.search(r"at most (\d\.\d+)", text)[1]) <= 1e-5
    assert re.search(INTERVAL, everything)
    assert "Warning" not in everything and not [o for cell in cells for o in cell.outputs if o.get("name") == "stderr"]
    drawn = [[o for o in cell.outputs if o.output_type == "display_data"] for cell in cells]
    assert max(map(len, drawn)) <= 1, "a line of progress is no output of its own"


@pytest.mark.slow
def test_the_quickest_runs_from_top_to_bottom(tmp_path):
    path = sync.FOLDER / "compare_and_decide.ipynb"
    require_result(path.stem, run_notebook(path, tmp_path, Path(sys.executable), PYTHONPATH=str(ROOT)))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_each_runs_with_the_installed_package(name, tmp_path, installed):
    notebook = run_notebook(sync.FOLDER / f"{name}.ipynb", tmp_path, installed, PYTHONPATH="")
    require_result(name, notebook)
