"""Starts N local workers of one command, and all of them anew when one dies.

Several workers train as one under MultiWorkerMirroredStrategy: when one is gone, none of the others can go on. So all
are ended and started again, and the command, which should have ``--resume``, takes up the last checkpoint.
"""

from __future__ import annotations

import json
import math
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from kft.errors import UsageError
from kft.processes import clean_environment, python_module
from kft.records.files import storage_errors

GRACE_SECONDS = 10
"""How long the others may take to end when one has died: without it, none of them can make another step."""
SHOWN_LINES = 12
"""Of the output of a worker that failed."""
USAGE, UNEXPECTED = 2, 3
"""The exit codes of an error that starting again would only repeat, and of one that it may not."""


@dataclass
class Supervisor:
    """Runs the workers and waits for them.

    Attributes:
        count: How many.
        command: What each runs.
        logs: Where the output of all but the first goes, ``worker-1.log`` and so on.
        restarts: How often all of them may be started again.
        report: Takes one line for each thing that happens.
    """

    count: int
    command: Sequence[str]
    logs: Path
    restarts: int
    report: Callable[[str], None]
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _told: int | None = None
    _obeying: set[int] = field(default_factory=set)  # the workers that SIGTERM was passed on to

    def run(self) -> int:
        """Returns the command's exit code: 0 when all workers ended well, 143 after SIGTERM, 130 after Ctrl-C.

        An unexpected error (exit code 3) is taken for a lasting one the second time in a row: a full disk and a loss
        that is not finite come again after every restart.

        Raises:
            UsageError: The command is not there.
        """
        before = {number: signal.signal(number, self._tell) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            code = 0
            for attempt in range(self.restarts + 1):
                before_it, code = code, self._run_once()
                if self._told is not None:
                    return 128 + self._told
                if code in (0, USAGE):
                    return code
                if before_it == code == UNEXPECTED:
                    self.report("gave up: the same exit code twice in a row, so starting again will not help")
                    return code
                if attempt < self.restarts:
                    self.report(f"restarting all {self.count} workers ({attempt + 1} of at most {self.restarts})")
            self.report(f"gave up after {self.restarts} restarts")
            return code
        finally:
            self._end(signal.SIGKILL)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _run_once(self) -> int:
        """Starts the workers and returns 0, or the exit code of the first that ended otherwise."""
        addresses = [f"localhost:{port}" for port in _free_ports(self.count)]
        with storage_errors(self.logs, "choose another folder with --logs DIR"):
            self.logs.mkdir(parents=True, exist_ok=True)
        self._running = []
        for index in range(self.count):
            config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            env = clean_environment(TF_CONFIG=json.dumps(config))
            self._running.append(self._start(index, env))
        deadline = math.inf
        while True:
            self._pass_on()  # a worker that was just being started when the signal came has not had it
            codes = [worker.poll() for worker in self._running]
            failed = [(index, code) for index, code in enumerate(codes) if code]
            if failed and self._told is None:
                index, code = failed[0]
                how = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
                self.report(f"worker {index} {how}; its output: {self._output(index)}")
                self._end(signal.SIGTERM)
                return code if code > 0 else 128 - code
            if all(code is not None for code in codes):
                return 0
            if self._told is not None and any(code is not None for code in codes):
                deadline = min(deadline, time.monotonic() + GRACE_SECONDS)
                if time.monotonic() > deadline:
                    self.report(f"a worker had not ended {GRACE_SECONDS} s after another one did: killed")
                    self._end(signal.SIGKILL)
            time.sleep(0.2)

    def _output(self, index: int) -> str:
        """Returns where a worker's output is, and its last lines: the first one may not have come to say the same."""
        if index == 0:
            return "above"
        path = self.logs / f"worker-{index}.log"
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-SHOWN_LINES:]
        return "\n".join([str(path), *(f"  {line}" for line in lines)])

    def _start(self, index: int, env: dict[str, str]) -> subprocess.Popen[bytes]:
        try:
            if index == 0:
                return subprocess.Popen(self.command, env=env, start_new_session=True)
            path = self.logs / f"worker-{index}.log"
            with storage_errors(path, "choose another folder with --logs DIR"):
                log = path.open("ab")
            with log:
                return subprocess.Popen(self.command, env=env, stdout=log, stderr=log, start_new_session=True)
        except OSError as error:
            raise UsageError(
                "the command cannot be started",
                where="kft workers N -- COMMAND",
                received=f"{self.command[0]}: {error.strerror}",
                expected="a program, such as kft train RECIPE --devices multi-worker --run DIR --resume",
            ) from None

    def _tell(self, number: int, frame: FrameType | None) -> None:
        # Each worker is in a session of its own, so Ctrl-C too reaches it through here alone.
        if self._told is not None:  # whoever asks twice does not want to wait
            for worker in self._running:
                worker.kill()
        self._told = number
        self._pass_on()

    def _pass_on(self) -> None:
        if self._told is None:
            return
        for worker in self._running:
            if worker.pid not in self._obeying and worker.poll() is None:
                self._obeying.add(worker.pid)
                worker.send_signal(signal.SIGTERM)

    def _end(self, number: int) -> None:
        """Ends what still runs; what does not obey in time is killed."""
        for worker in self._running:
            if worker.poll() is None:
                worker.send_signal(number)
        deadline = time.monotonic() + GRACE_SECONDS
        for worker in self._running:
            try:
                worker.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()


def supervise(count: int, command: Sequence[str], *, logs: Path, restarts: int, report: Callable[[str], None]) -> int:
    """Runs a command as ``count`` local workers that train as one; returns its exit code.

    Args:
        count: How many workers.
        command: A command with ``--devices multi-worker --run DIR --resume``; ``kft`` means this very kft.
        logs: A folder for the output of all workers but the first.
        restarts: How often all of them may be started again when one dies.
        report: Takes one line for each thing that happens.

    Raises:
        UsageError: There is no command, or it is not there.
    """
    if not command:
        raise UsageError(
            "there is no command to run",
            where="kft workers N -- COMMAND",
            expected="kft workers 2 -- kft train RECIPE --devices multi-worker --run DIR --resume",
        )
    start = python_module("kft.cli.main") if command[0] == "kft" else [command[0]]
    return Supervisor(count, [*start, *command[1:]], logs, restarts, report).run()


def _free_ports(count: int) -> list[int]:
    """Returns ports that are free now: all are held until the last is found, so that they differ."""
    sockets = []
    try:
        for _ in range(count):
            held = socket.socket()
            sockets.append(held)
            held.bind(("localhost", 0))
        return [held.getsockname()[1] for held in sockets]
    finally:
        for held in sockets:
            held.close()
