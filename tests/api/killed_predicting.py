"""Answers a file in small chunks, and is killed once so many of them were kept: see test_predicting.py."""

import os
import signal
import sys
from pathlib import Path

from kft.api import predicting
from kft.data import pieces
from kft.records.partial import Partial

SMALL = {"LARGE": 0, "PIECE": 4096, "PIECE_ROWS": 130}
CHUNK_ROWS = 50


def main(artifact: str, path: str, output: str, kept: str) -> None:
    """Answers, and ends by SIGKILL after ``kept`` chunks."""
    for name, value in SMALL.items():
        setattr(pieces, name, value)
    predicting.CHUNK_ROWS = CHUNK_ROWS
    keep, left = Partial.keep, [int(kept)]

    def counted(partial: Partial, *arguments: object) -> None:
        keep(partial, *arguments)  # type: ignore[arg-type]
        left[0] -= 1
        if left[0] == 0:
            partial.file.write(b"half a row")
            partial.file.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    Partial.keep = counted  # type: ignore[method-assign]
    predicting.predict_file(artifact, Path(path), Path(output))


if __name__ == "__main__":
    main(*sys.argv[1:])
