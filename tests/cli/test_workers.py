"""`kft workers`: what is started, what is started again, and when it gives up."""

import json
import subprocess
import sys

KFT = [sys.executable, "-m", "kft.cli.main", "workers"]


def workers(folder, *arguments):
    return subprocess.run([*KFT, *arguments], cwd=folder, capture_output=True, text=True, timeout=120)


def test_each_worker_knows_its_place_and_all_addresses(tmp_path):
    code = "import os, pathlib; c = os.environ['TF_CONFIG']; pathlib.Path(str(hash(c))).write_text(c)"
    done = workers(tmp_path, "3", "--", sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    configs = [json.loads(path.read_text()) for path in tmp_path.iterdir() if path.is_file()]
    assert sorted(config["task"]["index"] for config in configs) == [0, 1, 2]
    (addresses,) = {tuple(config["cluster"]["worker"]) for config in configs}
    assert len(set(addresses)) == 3


def test_when_one_dies_all_are_started_again_until_it_gives_up(tmp_path):
    code = "import os, time; '\"index\": 0' in os.environ['TF_CONFIG'] and time.sleep(60); os._exit(7)"
    done = workers(tmp_path, "2", "--restarts", "1", "--", sys.executable, "-c", code)
    assert done.returncode == 7
    said = [line for line in done.stderr.splitlines() if line.startswith("workers")]
    assert said == [
        "workers    worker 1 ended with 7; its output: workers/worker-1.log",
        "workers    restarting all 2 workers (1 of at most 1)",
        "workers    worker 1 ended with 7; its output: workers/worker-1.log",
        "workers    gave up after 1 restarts",
    ]


def test_an_error_that_would_come_again_is_not_tried_again(tmp_path):
    done = workers(tmp_path, "2", "--", "kft", "train", "nowhere.yaml", "--run", "r", "--devices", "multi-worker")
    assert done.returncode == 2
    assert "no recipe at nowhere.yaml" in done.stderr and "restarting" not in done.stderr


def test_a_command_that_is_not_there(tmp_path):
    done = workers(tmp_path, "2", "--", "no-such-program")
    assert done.returncode == 2
    assert "the command cannot be started" in done.stderr and "no-such-program" in done.stderr
