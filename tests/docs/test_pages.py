"""The pages run: each block of sh and of Python in the order of its page, but for those whose titles say otherwise."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

import kft
from kft.cli import main as cli_main
from tests.docs.blocks import PAGES, blocks_of, lines_of
from tests.docs.world import World, reviews

GIVEN = {
    "README.md": ("tickets.csv", "today.csv"),
    "coming_from.md": ("tickets.csv", "photos"),
    "freezing.md": ("tickets.csv", "recipe.yaml"),
    "audit.md": ("tickets.csv", "recipe.yaml"),
    "choose.md": ("tickets.csv", "recipe.yaml", "weights/my-bert"),
    "compare.md": ("tickets.csv", "recipe.yaml"),
    "data.md": ("tickets.csv", "recipe.yaml"),
    "evaluation.md": ("runs/tickets-1", "runs/tickets-2"),
    "knowledge.md": ("handbook", "articles.csv", "train.csv", "valid.csv", "test.csv"),
    "language.md": ("tickets.csv", "intents.yaml"),
    "monitoring.md": ("tickets-onnx", "today.csv"),
    "multi-gpu.md": ("tickets.csv", "recipe.yaml"),
    "report.md": ("tickets.csv", "recipe.yaml", "runs/product_reviews-1", "today.csv"),
    "retraining.md": ("runs/tickets-1", "labelled.csv", "shelf/tickets"),
    "running_anywhere.md": ("tickets.csv", "recipe.yaml"),
    "serving.md": ("runs/tickets-1", "tickets-onnx", "shelf/tickets", "token.txt"),
    "shipping.md": ("runs/tickets-1",),
    "tour.md": (),
    "tpu.md": ("tickets.csv", "recipe.yaml"),
}
"""What lies in a reader's folder when a page begins."""
BEFORE = {
    "report.md": """
kft compare recipe.yaml --approaches majority,linear,probe --run runs/product_reviews-compare-1
kft export runs/product_reviews-1 reviews-onnx
kft monitor reviews-onnx today.csv -o watch
""",
    "serving.md": """
kft export runs/tickets-1 tickets-2 --quantize dynamic
kft promote tickets-2 tickets --alias challenger
""",
    "shipping.md": """
kft export runs/tickets-1 tickets-2 --quantize dynamic
""",
}
"""What a reader has run before."""
STANDS_FOR = {
    "ARTIFACT": "tickets-onnx",
    "RUN": "runs/tickets-1",
    "OTHER": "runs/tickets-2",
    "$IMAGE": "europe/kft:1",
    "BUCKET": "bucket",
}
SMALLER = {"tour.md": {"1500": "300", "1800": "600"}}
"""What would take a page minutes, and what runs in its place: the tour trains on fewer rows."""
ELSEWHERE = {"extending.md": "tests/test_extending.py"}
MAY_SAY_NO = ("monitor", "retrain", "evaluate", "check")
"""Commands whose exit code 1 is an answer."""
LEFT_OUT = re.compile(r"(make|pip|\.venv/bin/pip) ")
"""What installs."""


def runnable():
    for page in PAGES:
        blocks = [block for block in blocks_of(page) if block.runs and block.language in ("sh", "python", "yaml")]
        if page.name not in ELSEWHERE and any(not LEFT_OUT.match(line) for each in blocks for line in code_of(each)):
            yield pytest.param(blocks, id=page.name)


def code_of(block):
    return [] if block.language == "yaml" else lines_of(block.text)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("world"))


@pytest.mark.slow
@pytest.mark.parametrize("blocks", list(runnable()))
def test_a_page_runs(blocks, world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = blocks[0].page
    world(*GIVEN.get(page, ()))
    for line in lines_of(BEFORE.get(page, "")):
        run(line, page)
    frame = reviews(0, 200).rename(columns={"text": "message", "label": "queue"})
    names = {"kft": kft, "frame": frame}  # README.md has a DataFrame of its reader's
    for block in blocks:
        if block.language == "yaml":
            named = re.match(r"# ([\w-]+\.yaml)\n", block.text)
            if named:
                Path(named[1]).write_text(block.text)
        elif block.language == "python":
            text = block.text
            for stated, smaller in SMALLER.get(page, {}).items():
                assert stated in text, f"{block.where}: {stated}"
                text = text.replace(stated, smaller)
            exec(compile(text, block.where, "exec"), names)
        else:
            for line in lines_of(block.text):
                run(line, block.where)


def run(line, where):
    """Runs one command line as it stands."""
    if LEFT_OUT.match(line):
        return
    for name, value in STANDS_FOR.items():
        line = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", value, line)
    words = shlex.split(line.replace(".venv/bin/", ""), comments=True)
    if words[:2] == ["kft", "serve"]:
        with server(words[2:]):
            return
    if words[0] == "curl":
        with server(["tickets-onnx"]) as port:
            shell(line.replace("curl", "curl --fail-with-body -sS").replace("8000", str(port)), where)
    elif words[0] == "kft" and not {"|", "&&", ">"} & set(words):
        code = cli_main.run(words[1:])
        assert code == 0 or (code == 1 and words[1] in MAY_SAY_NO), f"{where}: {line}: exit code {code}"
    else:
        shell(line, where)


def shell(line, where):
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-ec", line], env={**os.environ, "PATH": paths}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{where}: {line}: {done.stdout}{done.stderr}"


@contextmanager
def server(arguments):
    """A server that answers, on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "kft.cli.main", "serve", *arguments, "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            for _ in range(600):
                if process.poll() is not None or answers(port):
                    break
                time.sleep(0.1)
            assert process.poll() is None and answers(port), process.stdout.read() if process.poll() else command
            yield port
        finally:
            process.send_signal(signal.SIGTERM)


def answers(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=5) as found:
            return found.status == 200
    except OSError:
        return False
