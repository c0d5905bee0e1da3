"""Processes that end for real, without loading TensorFlow again for each.

A parent loads TensorFlow and kft once, runs nothing with them, and forks for every request: what a child does, a new
interpreter would do as well (it has devices, caches and signals of its own), for 5 CPU seconds less.
``tests/end_to_end`` starts real ones.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run(module: str, *arguments: object, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> Finished:
    """Runs ``python -m module arguments`` in a child, and returns how it ended."""
    with tempfile.TemporaryDirectory() as folder:
        request = {
            "module": module,
            "arguments": list(map(str, arguments)),
            "cwd": str(cwd),
            "env": {**os.environ, **(env or {})},
            "out": str(Path(folder) / "out"),
            "err": str(Path(folder) / "err"),
        }
        parent = _parent()
        assert parent.stdin and parent.stdout
        parent.stdin.write(json.dumps(request) + "\n")
        parent.stdin.flush()
        status = int(parent.stdout.readline())
        return Finished(os.waitstatus_to_exitcode(status), *(Path(request[key]).read_text() for key in ("out", "err")))


class Finished:
    """How a child ended: its exit code, or less the signal's number; and what it wrote."""

    def __init__(self, returncode: int, stdout: str, stderr: str) -> None:
        self.returncode, self.stdout, self.stderr = returncode, stdout, stderr


@cache
def _parent() -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.forked"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    atexit.register(_close, process)
    return process


def _close(process: subprocess.Popen[str]) -> None:
    """Ends the parent: it stops where its standard input does."""
    assert process.stdin and process.stdout
    process.stdin.close()
    process.wait(timeout=30)
    process.stdout.close()


def serve() -> None:
    """Forks a child for each line of standard input; answers with its wait status."""
    import importlib

    from kft import runtime

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever is printed while all is loaded is no answer
    runtime.load_tensorflow()
    for name in (
        "keras_hub",
        "scipy.optimize",
        "sklearn.linear_model",
        "kft.api.training",
        "kft.cli.main",
        "tests.killable",
    ):
        importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(request)
        answers.write(f"{os.waitpid(child, 0)[1]}\n")
        answers.flush()


def _become(request: dict) -> None:
    """Runs the module as the interpreter would, in this process, and ends it."""
    import runpy

    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, key in ((1, "out"), (2, "err")):
        os.dup2(os.open(request[key], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.argv = [request["module"], *request["arguments"]]
    code: object = 0
    try:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    serve()
