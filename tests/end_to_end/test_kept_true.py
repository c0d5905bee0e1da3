"""The whole story by the command line: a model ships, what comes changes, it is told, labelled, retrained, replaced."""

import csv
import json
import os
import subprocess
import sys
import urllib.request

import pandas as pd
import pytest

from kft.records.document import read_document
from kft.records.monitored import MonitorResult
from tests import forked, tiny
from tests.retrain import made
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


def kft(folder, *arguments, code=0):
    """Runs a command; what it prints."""
    done = forked.run("kft.cli.main", *arguments, cwd=folder)
    assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
    return done.stdout


class Server:
    """``kft serve`` of a name on a shelf with a challenger beside it, in a process of its own."""

    def __init__(self, folder, *arguments):
        self.log = (folder / "serve.log").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kft.cli.main", "serve", *arguments, "--port", "0", "--json"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self.about = json.loads(self.process.stdout.readline())

    def ask(self, texts):
        body = json.dumps({"texts": list(texts)}).encode()
        request = urllib.request.Request(f"{self.about['url']}/predict", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.loads(response.read())

    def metric(self, name):
        with urllib.request.urlopen(f"{self.about['url']}/metrics", timeout=60) as response:
            lines = response.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(f"{name}{{"))

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        self.process.stdout.close()
        self.log.close()


def write(path, texts):
    pd.DataFrame({"text": list(texts)}).to_csv(path, index=False)


def label(queued, labelled, truth):
    """Fills in the column of labels, as a person does in a spreadsheet."""
    with queued.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert row["label"] == ""
        row["label"] = truth[row["text"]]
    with labelled.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return len(rows)


def right(answers, labels):
    return sum(each["label"] == label for each, label in zip(answers, labels, strict=True)) / len(labels)


def test_it_ships_drifts_is_told_labelled_retrained_and_replaced_and_a_bad_one_is_not(tmp_path, tiny_folder):
    (tmp_path / "recipe.yaml").write_text(json.dumps(made.recipe(tmp_path, tiny_folder)))
    kft(tmp_path, "train", "recipe.yaml", "--run", "run", "--quiet")
    kft(tmp_path, "export", "run", "first", "--format", "onnx", "--quiet")
    kft(tmp_path, "promote", "first", "tickets", "--why", "the first")
    texts, _ = tiny.texts_and_labels(300, seed=21)
    write(tmp_path / "usual.csv", texts)
    tweets = made.new_rows(400, seed=22)
    write(tmp_path / "tweets.csv", tweets["text"])
    fresh = made.new_rows(60, seed=23)
    server = Server(tmp_path, "shelf/tickets", "--record", "kept", "--follow-seconds", "0.05")
    try:
        answers = server.ask(fresh["text"])
        first = answers["version"]
        assert right(answers["predictions"], fresh["label"]) < 0.75

        # What comes is as it was: no alarm. Then it is something else.
        watch = ("--state", "watch", "-o", "watch", "--textfile", "kft.prom")
        kft(tmp_path, "monitor", "shelf/tickets", "usual.csv", *watch)
        assert not read_document(MonitorResult, tmp_path / "watch" / "monitor.json").drift
        kft(tmp_path, "monitor", "shelf/tickets", "tweets.csv", *watch, code=1)
        found = read_document(MonitorResult, tmp_path / "watch" / "monitor.json")
        assert found.drift and found.calls == 2 and found.rows == 700
        page = (tmp_path / "watch" / "report.html").read_text()
        assert "It has changed: " in page and "kft queue" in page
        assert 'kft_monitor_drift{model="tickets"} 1.0' in (tmp_path / "kft.prom").read_text()
        said = kft(tmp_path, "report", "run", "--monitor", "watch", "--quiet")
        assert "what it is asked, or answers, has changed" in (tmp_path / "run" / "report.html").read_text(), said

        # Rows worth a label, labelled; the next run takes the champion's place, and the server follows.
        kft(tmp_path, "queue", "shelf/tickets", "tweets.csv", "-n", "160", "-o", "label.csv")
        truth = dict(zip(tweets["text"], tweets["label"], strict=True))
        assert label(tmp_path / "label.csv", tmp_path / "labelled.csv", truth) == 160
        kept = ("--tolerance", "0.2", "--quiet")
        kft(tmp_path, "retrain", "run", "--with", "labelled.csv", "--run", "next", "--promote", "shelf/tickets", *kept)
        wait_until(lambda: server.ask(["a"])["version"] != first)
        answers = server.ask(fresh["text"])
        second = answers["version"]
        assert right(answers["predictions"], fresh["label"]) > 0.9

        # One that was trained on shuffled labels may not, and stays beside the champion, if anywhere.
        bad = made.new_rows(160, seed=24)
        bad["label"] = bad["label"].sample(frac=1, random_state=0).to_numpy()
        bad.to_csv(tmp_path / "bad.csv", index=False)
        (champion,) = (tmp_path / "next").glob("*/retrain.json")
        asked = ("--with", "bad.csv", "--run", "worse", "--promote", "shelf/tickets")
        kft(tmp_path, "retrain", champion.parent, *asked, *kept, code=1)
        assert server.ask(["a"])["version"] == second
        assert json.loads((tmp_path / "shelf" / "tickets" / "shelf.json").read_text())["aliases"] == {"champion": 2}
    finally:
        server.stop()

    (worse,) = (tmp_path / "worse").glob("*/retrain.json")
    kft(tmp_path, "export", worse.parent, "bad", "--format", "onnx", "--quiet")
    kft(tmp_path, "promote", "bad", "tickets", "--alias", "challenger", "--why", "to see what it would say")
    server = Server(tmp_path, "shelf/tickets", "--shadow", "shelf/tickets@challenger")
    try:
        assert server.about["models"][0]["shadow"]["from"] == "shelf/tickets@challenger"
        answers = server.ask(fresh["text"])
        assert answers["version"] == second and right(answers["predictions"], fresh["label"]) > 0.9
        wait_until(lambda: server.metric("kft_shadow_answers_total") == 60)
        assert server.metric("kft_shadow_disagreements_total") > 0
    finally:
        server.stop()
    kft(tmp_path, "report", champion.parent, "--quiet")
    card = (champion.parent / "card.md").read_text()
    assert "it was retrained from run" in card and "is not better" in card
