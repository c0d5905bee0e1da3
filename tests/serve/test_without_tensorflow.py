"""The server runs where docker/requirements-serve.txt alone is installed: no TensorFlow, no pandas."""

import configparser
import http.client
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.serve.shipped import write_shipped

ROOT = Path(__file__).parents[2]
OTHERWISE = {
    "keras-nlp": "keras_hub keras_nlp",
    "tensorflow-datasets": "tensorflow_datasets",
    "scikit-learn": "sklearn",
    "ruamel.yaml": "ruamel",
    "pip": "",
}
LINES = """
import sys
from importlib.machinery import PathFinder
class Without:
    find_distributions = staticmethod(PathFinder.find_distributions)
    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in {names!r} else PathFinder.find_spec(name, path, target)
sys.meta_path = [Without() if finder is PathFinder else finder for finder in sys.meta_path]
sys.argv = ["kft", "serve", *{arguments!r}]
from kft.cli.main import main
main()
"""


def absent():
    """Returns what setup.cfg installs and the image does not, as it is imported."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    own = re.findall(r"^([\w.-]+)", setup["options"]["install_requires"], re.MULTILINE)
    here = re.findall(r"^([\w.-]+)", (ROOT / "docker/requirements-serve.txt").read_text(), re.MULTILINE)
    missing = sorted(set(own) - set(here))
    assert {"tensorflow", "keras", "pandas", "scipy"} <= set(missing)
    return {name for each in missing for name in OTHERWISE.get(each, each.replace("-", "_")).split()}


def test_text_is_answered_recorded_and_shown(tmp_path):
    folder = write_shipped(tmp_path / "reviews")
    arguments = [f"file://{folder}", "--port", "0", "--json", "--record", str(tmp_path / "kept")]
    started = subprocess.Popen(
        [sys.executable, "-c", LINES.format(names=absent(), arguments=arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with started as process:
        try:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            connection = http.client.HTTPConnection(
                "127.0.0.1", int(json.loads(line)["url"].rpartition(":")[2]), timeout=30
            )
            body = json.dumps({"text": "superb, but mail a@example.com or +44 20 7946 0958"})
            connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
            assert json.loads(connection.getresponse().read())["label"] == "positive"
            for path in ("/", "/docs", "/metrics"):
                connection.request("GET", path)
                response = connection.getresponse()
                assert response.read() and response.status == 200
            connection.close()
            process.send_signal(signal.SIGTERM)
            said = process.communicate(timeout=30)[1]
            assert process.returncode == 143 and "Traceback" not in said
        finally:
            process.kill()
    (kept,) = (tmp_path / "kept").iterdir()
    assert json.loads(kept.read_text())["input"] == "superb, but mail [EMAIL] or [PHONE]"
