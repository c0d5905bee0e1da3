"""`kft compare` in a process of its own that a signal ends as soon as an approach is kept: ``python -m ...``."""

import os
import signal
import sys
import threading
import time
from pathlib import Path


def main() -> None:
    from kft.cli.main import run

    kept, number, arguments = Path(sys.argv[1]), getattr(signal, sys.argv[2]), sys.argv[3:]

    def watch() -> None:
        while not kept.is_file():
            time.sleep(0.005)
        os.kill(os.getpid(), number)

    threading.Thread(target=watch, daemon=True).start()
    sys.exit(run(["compare", *arguments]))


if __name__ == "__main__":
    main()
