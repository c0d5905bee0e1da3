"""``--record``: a bounded sample of requests and answers, with personal data replaced, for monitoring.

Files of JSON lines, ``sample-000001.jsonl`` and so on; the oldest goes when there are too many. At most so many inputs
a second are kept, chosen by nothing but the time they came, and a thread of its own writes them.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kft.data.personal import redact
from kft.deploy.watching import Looked
from kft.monitor.records import NAME, as_line
from kft.recipe.personal_kinds import PERSONAL_KINDS
from kft.records.files import require_writable, storage_errors
from kft.records.lock import hold
from kft.records.run_folder import RunFolder
from kft.serve.batching import Answer
from kft.serve.models import LoadedVersion
from kft.serve.shadow import Beside


@dataclass(frozen=True)
class RecordLimits:
    """How much is kept.

    Attributes:
        a_second: Inputs.
        a_file: Lines.
        bytes_a_file: Likewise; whichever comes first.
        files: The newest.
    """

    a_second: float = 5.0
    a_file: int = 1000
    bytes_a_file: int = 4 * 2**20
    files: int = 20


KEPT = RecordLimits()
ANOTHER = "choose another --record FOLDER"


class SampleRecorder:
    """Keeps a sample. One at a time writes into a folder: whoever reads it goes on behind the last line that it knows.

    Args:
        folder: Where to; made where it is missing.
        say: Is told once why nothing more is kept, and of a server that was killed while it wrote there.
        limits: How much.

    Raises:
        RunError: Another server writes into the folder.
        StorageError: The folder cannot be written.
    """

    def __init__(self, folder: Path, say: Callable[[str], None], limits: RecordLimits = KEPT) -> None:
        require_writable(folder)
        with storage_errors(folder, ANOTHER):
            folder.mkdir(parents=True, exist_ok=True)
        self._held = ExitStack()
        self._held.enter_context(hold(RunFolder(folder), say, "folder of records", ANOTHER))
        self.folder = folder
        self.limits = limits
        self._say = say
        self._secret = secrets.token_bytes(16)  # copies are told while this server runs, and nothing else is
        self._failed = False
        self._tokens, self._at = 1.0, time.monotonic()
        self._waiting, self._lock = 0, threading.Lock()
        self._thread = ThreadPoolExecutor(1, "kft-record")
        numbers = self._numbers()
        self._number = numbers[-1] + 1 if numbers else 1
        self._lines = self._bytes = 0

    def keep(
        self,
        version: LoadedVersion,
        inputs: Sequence[Any],
        answers: Sequence[Answer],
        beside: Beside | None = None,
        looked: Sequence[Looked] | None = None,
    ) -> None:
        """Keeps those inputs of a request whose time it is; returns at once.

        Args:
            version: That answered.
            inputs: As they were asked.
            answers: One each.
            beside: What a challenger comes to say to them; the line is written when it has.
            looked: What the graph gave for them; None where the artifact has no reference.
        """
        now = time.monotonic()
        # Time that nobody used is not saved up: a burst would fill the sample with what came together.
        self._tokens, self._at = min(1.0, self._tokens + (now - self._at) * self.limits.a_second), now
        if self._tokens < 1 or self._waiting > 8 or self._failed:
            return
        self._tokens = 0.0
        place, at = int(now * 1e6) % len(inputs), time.time()  # one of a request: its sender would choose the first

        def write(beside: Beside | None) -> None:
            try:
                said = beside.result() if beside else None
                answered = said.answers[place] if said and said.answers else None
                shadow = {"version": said.version, "answer": answered} if said else {}
                with self._lock:
                    self._waiting += 1
                look = looked[place] if looked else None
                self._thread.submit(self._write, version, inputs[place], look or answers[place], at, shadow)
            except Exception as error:
                self._give_up(error)

        if beside is None:
            write(None)
        else:
            beside.add_done_callback(write)

    def works(self) -> bool:
        """Whether a sample is still kept; may be asked in any thread."""
        return not self._failed

    def close(self) -> None:
        """Writes what waits, and gives the folder back."""
        self._thread.shutdown()
        self._held.close()

    def _write(
        self, version: LoadedVersion, given: Any, answer: Answer | Looked, at: float, shadow: Mapping[str, Any]
    ) -> None:
        try:
            line = {"at": round(at, 3), "model": version.name, "version": version.version}
            kinds = version.redact or PERSONAL_KINDS
            said = answer.answer if isinstance(answer, Looked) else answer
            line |= {"input": _kept(given, kinds), "answer": _kept(said, kinds)}
            if isinstance(answer, Looked) and version.looking is not None:
                # Of the input as it came, whose personal data are replaced only in what is written of it.
                line["seen"] = as_line(version.looking.watcher.seen([given], [answer]), self._secret)
            line |= {"shadow": _kept(shadow, kinds)} if shadow else {}
            text = json.dumps(line, ensure_ascii=False)
            with storage_errors(self.folder), self._file().open("a", encoding="utf-8") as file:
                file.write(text + "\n")
            self._lines += 1
            self._bytes += len(text)
        except Exception as error:  # whatever it is, it is about the sample: nobody's answer waits for it
            self._give_up(error)
        finally:
            with self._lock:
                self._waiting -= 1

    def _give_up(self, error: Exception) -> None:
        """Keeps nothing more, and says so once; not with the error's own words where they could hold a text."""
        if not self._failed:
            self._failed = True
            said = getattr(error, "problem", "") or (str(error) if isinstance(error, OSError) else type(error).__name__)
            self._say(f"nothing more is recorded: {said}")

    def _file(self) -> Path:
        if self._lines >= self.limits.a_file or self._bytes >= self.limits.bytes_a_file:
            self._number, self._lines, self._bytes = self._number + 1, 0, 0
        if not self._lines:
            for number in self._numbers()[: -self.limits.files + 1 or None]:
                self._path(number).unlink(missing_ok=True)
        return self._path(self._number)

    def _path(self, number: int) -> Path:
        return self.folder / f"sample-{number:06d}.jsonl"

    def _numbers(self) -> list[int]:
        """Returns the numbers of the files that are there, in order."""
        found = (NAME.fullmatch(path.name) for path in self.folder.iterdir())
        return sorted(int(match.group(1)) for match in found if match)


def _kept(value: Any, kinds: Sequence[str]) -> Any:
    """Returns what is kept: texts without personal data; of an image its hash, for nothing else is safe."""
    if isinstance(value, bytes):
        return {"sha256": hashlib.sha256(value).hexdigest(), "bytes": len(value)}
    if isinstance(value, Mapping):
        return {key: _kept(each, kinds) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_kept(each, kinds) for each in value]
    return redact(value, kinds) if isinstance(value, str) else value
