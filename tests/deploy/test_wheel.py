"""An artifact as a wheel."""

import json
import shutil
import subprocess
import sys
import zipfile

import pytest

import kft
from kft.deploy.load import open_artifact
from kft.errors import StorageError, UsageError
from tests.deploy.keys import write_keys

ASK = """
import json, sys
sys.path.insert(0, sys.argv[1])
import tiny_model
print(json.dumps(tiny_model.predict(["the battery is great"])))
tiny_model.predict(["the battery is great " * 30])
"""


def test_pip_installs_it_and_it_answers(shipped, tmp_path):
    opened = open_artifact(shipped)
    (wheel,) = shipped.parent.glob("*.whl")
    assert wheel.name == f"tiny_model-1.0+{opened.about.version}-py3-none-any.whl"
    site = tmp_path / "site"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(site),
        str(wheel),
    ]
    subprocess.run(pip, check=True, capture_output=True)
    done = subprocess.run([sys.executable, "-I", "-c", ASK, str(site)], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == opened.predict(["the battery is great"])
    assert done.stderr.count("Warning: 1 text is longer than what the model reads") == 1
    (facts,) = site.glob("tiny_model-*.dist-info")
    needs = [line for line in (facts / "METADATA").read_text().splitlines() if line.startswith("Requires-Dist: ")]
    assert needs == [f"Requires-Dist: {package}" for package in opened.about.packages]


@pytest.mark.slow
def test_a_wheel_that_fails_leaves_no_artifact(shipped_run, tmp_path):
    """Its name is that of the model, and too long for a file."""
    run = shutil.copytree(shipped_run, tmp_path / "run")
    recipe = (run / "recipe.yaml").read_text()
    (run / "recipe.yaml").write_text(recipe.replace("name: tiny", "name: " + "t" * 230, 1))
    key, _ = write_keys(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(StorageError, match="cannot be written"):
        kft.export(run, tmp_path / "new", wheel=True, sign=key, force=True, quiet=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.fixture
def signed(shipped_run, tmp_path, monkeypatch):
    from kft.cli import main as cli_main

    key, public = write_keys(tmp_path, password="secret")
    monkeypatch.setenv("KFT_KEY_PASSWORD", "secret")
    command = ["export", str(shipped_run), str(tmp_path / "new"), "--wheel", "--quiet", "--sign", str(key)]
    assert cli_main.run(command) == 0
    return tmp_path / "new", public


@pytest.mark.slow
def test_it_is_signed_before_it_is_there(signed):
    shipped, public = signed
    found = kft.verify(shipped, public_key=public)
    assert found.problems == () and found.signed == "yes, by this key"
    (path,) = shipped.parent.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        assert wheel.read("tiny_model/model.sig") == (shipped / "model.sig").read_bytes()


def test_a_key_that_cannot_sign_is_refused_before_anything_is_computed(shipped_run, tmp_path):
    key, _ = write_keys(tmp_path, password="secret")
    with pytest.raises(UsageError, match="this is no private key that can be used"):
        kft.export(shipped_run, tmp_path / "new", sign=key, password="wrong")
    with pytest.raises(UsageError, match="the private key cannot be read"):
        kft.export(shipped_run, tmp_path / "new", sign=tmp_path / "none.pem")
    assert not (tmp_path / "new").exists()
