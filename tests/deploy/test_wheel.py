"""An artifact as a wheel."""

import json
import subprocess
import sys

from kft.deploy.load import open_artifact

ASK = """
import json, sys
sys.path.insert(0, sys.argv[1])
import tiny_model
print(json.dumps(tiny_model.predict(["the battery is great"])))
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
    (facts,) = site.glob("tiny_model-*.dist-info")
    needs = [line for line in (facts / "METADATA").read_text().splitlines() if line.startswith("Requires-Dist: ")]
    assert needs == [f"Requires-Dist: {package}" for package in opened.about.packages]
