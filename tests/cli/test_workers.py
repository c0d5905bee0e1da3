"""`kft workers`: what is started, what is started again, and when it gives up."""

import json
import signal
import subprocess
import sys

from tests.waiting import wait_until

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


def test_an_unexpected_error_twice_in_a_row_is_not_tried_again(tmp_path):
    done = workers(tmp_path, "2", "--", sys.executable, "-c", "import os; os._exit(3)")
    assert done.returncode == 3
    assert done.stderr.count("restarting all 2 workers") == 1
    assert "gave up: the same exit code twice in a row" in done.stderr


def test_a_worker_that_was_killed_gives_its_signal_as_a_shell_would(tmp_path):
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    done = workers(tmp_path, "2", "--restarts", "0", "--", sys.executable, "-c", code)
    assert done.returncode == 128 + 9
    assert "was ended by signal 9" in done.stderr


def test_a_second_signal_does_not_wait_for_workers_that_ignore_the_first(tmp_path):
    code = "import pathlib, signal, time; signal.signal(signal.SIGTERM, lambda *_: pathlib.Path('told').touch());"
    code += "pathlib.Path(f'up-{time.monotonic_ns()}').touch(); [time.sleep(0.1) for _ in range(600)]"
    command = [*KFT, "2", "--", sys.executable, "-c", code]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: len(list(tmp_path.glob("up-*"))) == 2)
    process.send_signal(signal.SIGTERM)
    wait_until((tmp_path / "told").exists)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143


def test_a_folder_for_logs_that_cannot_be_one(tmp_path):
    (tmp_path / "file").touch()
    done = workers(tmp_path, "2", "--logs", "file/logs", "--", sys.executable, "-c", "")
    assert done.returncode == 3
    assert "file/logs" in done.stderr and "choose another folder with --logs DIR" in done.stderr
