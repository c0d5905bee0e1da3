"""Trains a recipe in a process of its own that a signal ends at a given step: ``python -m tests.killable``."""

import argparse
import json
import os
import signal
import time
from pathlib import Path

import keras


class EndsAt(keras.callbacks.Callback):
    """Sends this process a signal after so many steps of this process."""

    def __init__(self, step: int, number: int, once: str | None) -> None:
        super().__init__()
        self.left, self.number, self.once = step, number, once

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            if self.once:
                Path(self.once).touch()
            if self.number:
                os.kill(os.getpid(), self.number)
            else:
                time.sleep(3)  # whoever waits for the file signals now

    def get_state(self):
        return {}

    def set_state(self, state):
        pass


def main() -> None:
    from kft.cli.signals import Terminated, on_signal

    parser = argparse.ArgumentParser()
    parser.add_argument("recipe")
    parser.add_argument("run")
    parser.add_argument("--step", type=int, default=0, help="0 lets it end by itself")
    parser.add_argument("--signal", default="SIGKILL", help="or none, to wait for one from elsewhere")
    parser.add_argument("--devices", default="auto")
    parser.add_argument("--worker", type=int, help="only this one of several")
    parser.add_argument("--once", help="a file that tells that it has happened")
    args = parser.parse_args()
    mine = args.worker is None or json.loads(os.environ["TF_CONFIG"])["task"]["index"] == args.worker
    if not mine or (args.once and Path(args.once).exists()):
        args.step = 0
    signal.signal(signal.SIGTERM, on_signal)
    import kft

    ends = EndsAt(args.step, 0 if args.signal == "none" else getattr(signal, args.signal), args.once)
    try:
        kft.train(args.recipe, run=args.run, resume=True, devices=args.devices, callbacks=[ends], quiet=True)
    except Terminated:
        raise SystemExit(143) from None


if __name__ == "__main__":
    main()
