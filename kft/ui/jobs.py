"""Long work in processes of its own: `kft check`, `kft train`, `kft report`, as a person would type them.

What is known of one lies in files, so that a page that is loaded again, and a server that is started again, tell the
same of it. A process that was killed leaves no exit code, and that is told too.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from kft.errors import RunError, UsageError
from kft.processes import clean_environment, python_module
from kft.records.files import storage_errors, write_file
from kft.train.progress import PROGRESS_FILE
from kft.ui.folder import OWN

Kind = Literal["check", "train", "report"]
State = Literal["running", "done", "refused", "failed", "stopped", "killed", "gone"]
NAME = re.compile(r"\d{4,}-(?:check|train|report)")
STOPPED = (130, 143)
ELSEWHERE = "start kft ui in a folder that you may write"


@dataclass(frozen=True)
class CommandJob:
    """One command that was started.

    Attributes:
        id: Its folder's name; later ones sort after earlier ones.
        kind: The command.
        recipe: The recipe it was started for.
        run: The run folder it writes; empty for a check.
        command: As a person would type it.
        pid: Of its process.
        born: When that began, in ticks since the machine did: a number of a process is used again.
        started: In seconds since 1970.
    """

    id: str
    kind: Kind
    recipe: str
    run: str
    command: str
    pid: int
    born: int
    started: float


class Jobs:
    """The commands of one folder: started, looked at, stopped.

    Args:
        root: The folder, which is the current one.
    """

    def __init__(self, root: Path) -> None:
        self._folder = root / OWN
        self._root = root
        self._starting = threading.Lock()

    def all(self) -> list[CommandJob]:
        """Returns what was started here, the newest first."""
        found = (self._read(path.name) for path in self._folder.glob("*/job.json") for path in [path.parent])
        return sorted(filter(None, found), key=lambda job: job.id, reverse=True)

    def get(self, name: str) -> CommandJob:
        """Returns one.

        Raises:
            UsageError: There is none of that name.
        """
        job = self._read(name) if NAME.fullmatch(name) else None
        if job is None:
            raise UsageError("nothing was started under that name", received=name[:80], next_step="load the page again")
        return job

    def start(self, kind: Kind, arguments: list[str], *, recipe: str, run: str = "") -> CommandJob:
        """Starts a command, one at a time.

        Args:
            kind: The command.
            arguments: Its own.
            recipe: What it is for.
            run: The run folder it writes.

        Raises:
            RunError: Another one is at work.
            StorageError: The folder cannot be written.
        """
        with self._starting, storage_errors(self._folder):
            at_work = next((job for job in self.all() if self.state(job) == "running"), None)
            if at_work is not None:
                raise RunError(
                    "something else is still at work here",
                    received=at_work.command,
                    expected="one thing at a time: two would share the memory and take twice as long",
                    next_step="wait until it is done, or stop it",
                )
            place = self._new_folder(kind)
            command = python_module("kft.cli.main", kind, *arguments, "--json")
            with (place / "out.json").open("xb") as out, (place / "log.txt").open("xb") as log:
                process = subprocess.Popen(
                    command,
                    cwd=self._root,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=log,
                    env=clean_environment(**{PROGRESS_FILE: str((place / "progress.json").resolve())}),
                    start_new_session=True,  # Ctrl-C in the terminal ends the page's server, and not hours of training
                )
            shown = shlex.join(["kft", kind, *arguments])
            job = CommandJob(place.name, kind, recipe, run, shown, process.pid, _born(process.pid), time.time())
            try:
                write_file(place / "job.json", json.dumps(asdict(job)), elsewhere=ELSEWHERE)
            except BaseException:  # nobody would know of it, and another could be started beside it
                process.kill()
                process.wait()
                shutil.rmtree(place, ignore_errors=True)
                raise
            threading.Thread(target=_note_end, args=(process, place), daemon=True).start()
            return job

    def stop(self, job: CommandJob) -> None:
        """Asks a command to end: a training writes its state first, and can go on from there."""
        if self.state(job) == "running":
            os.kill(job.pid, signal.SIGTERM)

    def state(self, job: CommandJob) -> State:
        """Returns what has become of it."""
        if self._code(job) is None and _born(job.pid) == job.born:
            return "running"
        code = self._code(job)  # again: it may have ended in between
        if self.result(job) is not None and code in (0, 1, None):
            return "done"
        if code is None:
            return "gone"
        if code in STOPPED:
            return "stopped"
        return "killed" if code < 0 or code > 128 else "refused" if code == 2 else "failed"

    def signal_of(self, job: CommandJob) -> str:
        """Returns the name of the signal that ended a process; empty where none did, or nobody knows."""
        code = self._code(job) or 0
        try:
            return signal.Signals(-code if code < 0 else code - 128).name if code < 0 or code > 128 else ""
        except ValueError:
            return f"signal {-code}"

    def ended(self, job: CommandJob) -> float | None:
        """Returns when it ended, in seconds since 1970; None where it is at work or nobody saw it end."""
        try:
            return (self._folder / job.id / "code").stat().st_mtime
        except OSError:
            return None

    def result(self, job: CommandJob) -> dict[str, Any] | None:
        """Returns what the command printed; None where it has not, or not whole."""
        return _json(self._folder / job.id / "out.json")

    def progress(self, job: CommandJob) -> dict[str, Any] | None:
        """Returns the bar that a terminal would show: ``label``, ``done``, ``total``, ``loss``."""
        return _json(self._folder / job.id / "progress.json")

    def log(self, job: CommandJob, most: int = 20_000) -> str:
        """Returns the end of what the command said."""
        try:
            with (self._folder / job.id / "log.txt").open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - most))
                return file.read().decode("utf-8", "replace")
        except OSError:
            return ""

    def _code(self, job: CommandJob) -> int | None:
        try:
            return int((self._folder / job.id / "code").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    def _read(self, name: str) -> CommandJob | None:
        found = _json(self._folder / name / "job.json")
        try:
            return None if found is None else CommandJob(**found)
        except TypeError:
            return None

    def _new_folder(self, kind: Kind) -> Path:
        numbers = [int(path.name.partition("-")[0]) for path in self._folder.glob("*-*") if NAME.fullmatch(path.name)]
        for number in range(max(numbers, default=0) + 1, 10**9):
            place = self._folder / f"{number:04}-{kind}"
            if not any(self._folder.glob(f"{number:04}-*")):
                place.mkdir(parents=True)
                return place
        raise AssertionError


def _note_end(process: subprocess.Popen[bytes], place: Path) -> None:
    code = process.wait()
    write_file(place / "code", str(code))


def _born(pid: int) -> int:
    """Returns when a process began, in ticks since the machine did; 0 where there is none, or it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])


def _json(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_bytes(), parse_constant=lambda name: None)  # NaN is no JSON
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
