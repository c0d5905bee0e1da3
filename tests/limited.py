"""kft with a limit on the size of files, which stands in for a full disk: ``python -m tests.limited COMMAND``."""

import resource
import signal
import sys

from kft.cli.main import run

if __name__ == "__main__":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    code = run(sys.argv[1:])
    # Lifted once kft is done: whoever measures coverage in this process writes a file at its end.
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    sys.exit(code)
