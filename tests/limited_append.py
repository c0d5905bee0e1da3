"""Adds a line to a file that has no room for it: ``python -m tests.limited_append FOLDER``; see tests/limited.py."""

import resource
import signal
import sys

from kft.errors import StorageError
from kft.records.storage import Storage

if __name__ == "__main__":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    try:
        Storage(sys.argv[1]).append("log", b"y" * 100 + b"\n")
    except StorageError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
