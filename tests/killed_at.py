"""Runs a command of kft that is killed at its n-th change of the disk: ``python -m tests.killed_at N FOLDER COMMAND``.

Changes below FOLDER are counted: files that are opened to be written, renamed, removed, folders that are made. With 0
nothing is killed, and the last line of standard error says how many there were.
"""

import os
import signal
import sys

CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Killer:
    """Counts changes of the disk, and kills this process at one of them."""

    def __init__(self, at: int, folder: str) -> None:
        self.at, self.folder, self.seen = at, folder, 0

    def __call__(self, event, arguments) -> None:
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
        if (event in CHANGES or writes) and isinstance(arguments[0], (str, bytes, os.PathLike)):
            self.seen += os.path.abspath(os.fsdecode(arguments[0])).startswith(self.folder)
            if self.seen == self.at > 0:
                os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    from kft.cli.main import run

    killer = Killer(int(sys.argv[1]), sys.argv[2])
    sys.addaudithook(killer)
    code = run(sys.argv[3:])
    print(killer.seen, file=sys.stderr)
    sys.exit(code)
