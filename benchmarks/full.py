"""All blocks, the same rows, batch size and epochs: kft against keras-hub's classifier and Hugging Face Trainer.

Each arm runs in a process of its own, so that none finds warm caches or memory of another: seconds from the texts to
the last step, libraries loaded before; the highest resident memory of the process. sentence-transformers with a
standardised logistic regression trains no block: it stands there for what fine-tuning must reach. The torch peers run
where --peers names their Python (make bench-peers).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from common import accuracy, arguments, in_turns, peak_mib, ratios, report, timed, workplace, write_subset
from keras_side import keras_hub_fit, p99
from kft_side import Rows, load_rows, logits, tokens, train

from kft import assets
from kft.packages import PACKAGES

LR = 5e-5
ARMS = ("kft", "keras-hub")
PEERS = ("trainer", "trainer-by-length", "sentence-transformers")


def main() -> None:
    """Measures the arms in turns and writes the result; as a child, runs one arm and prints one JSON line."""
    args = arguments(__doc__, repeats=5, epochs=1, peers="", arms="", name="full", arm="", folder="")
    if args.arm:
        arm(args.arm, Path(args.folder), args)
        return
    with workplace() as folder:
        write_subset(args.train, args.rows, folder / "rows.csv")
        rows = read(folder, args)
        write_splits(rows, folder)
        names = args.arms.split(",") if args.arms else [*ARMS, *(PEERS if args.peers else ())]

        def run(name: str) -> dict[str, float]:
            command = kft_command(name, folder, args) if name in ARMS else peer_command(name, folder, args)
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            seconds = json.loads(done.stdout.strip().splitlines()[-1])
            found = accuracy(np.load(folder / f"{name}.npy"), rows.test_targets)
            return {**seconds, "test_accuracy": found, "load": os.getloadavg()[0]}

        found = in_turns({name: (lambda name=name: run(name)) for name in names}, args.repeats)
        report(
            args.name,
            found,
            ratios_to_kft=ratios(found, "kft"),
            p99_tokens=p99(rows),
            rows=len(rows.split.train),
            epochs=args.epochs,
        )


def read(folder: Path, args) -> Rows:
    """Returns the split of the subset, with a recipe of one phase that trains all blocks."""
    phases = [{"name": "full", "unfreeze": "all", "epochs": args.epochs, "lr": LR}]
    return load_rows(folder / "rows.csv", args.test, phases=phases)


def kft_command(name: str, folder: Path, args) -> list[str]:
    """Returns this script as a child that runs one arm in kft's environment."""
    places = ["--train", str(args.train), "--test", str(args.test), "--folder", str(folder)]
    return [sys.executable, __file__, *places, "--epochs", str(args.epochs), "--arm", name]


def peer_command(name: str, folder: Path, args) -> list[str]:
    """Returns one peer in its own environment."""
    model = str(assets.fetch(PACKAGES.get("minilm-l6")))
    settings = {"epochs": args.epochs, "lr": LR, "by_length": name == "trainer-by-length", "logits": f"{name}.npy"}
    script = str(Path(__file__).parent / "peers_side.py")
    return [args.peers, script, name.removesuffix("-by-length"), str(folder), model, json.dumps(settings)]


def arm(name: str, folder: Path, args) -> None:
    """Runs kft or keras-hub; its logits of the test rows go to FOLDER/NAME.npy, once: they are no part of the clock."""
    from kft import runtime

    runtime.start()
    import keras_hub

    import kft.train.run

    assert keras_hub.__version__ and kft.__version__
    rows = read(folder, args)
    texts, place = list(rows.split.test.inputs), folder / f"{name}.npy"
    if name == "kft":
        fitted, seconds = timed(lambda: train(rows, folder / f"run-{os.getpid()}"))
        answer = lambda: logits(fitted.model, tokens(texts))  # noqa: E731
    else:
        classifier, seconds = timed(lambda: keras_hub_fit(rows, args.epochs, LR))
        answer = lambda: classifier.predict(np.array(texts), batch_size=32, verbose=0)  # noqa: E731
    seconds["peak_mib"] = peak_mib()
    if not place.exists():
        np.save(place, answer())
    print(json.dumps(seconds))


def write_splits(rows: Rows, folder: Path) -> None:
    """Writes the very same rows for peers that read files."""
    for name in ("train", "valid", "test"):
        frame = {"text": getattr(rows.split, name).inputs, "target": rows.targets(name)}
        pd.DataFrame(frame).to_csv(folder / f"{name}.csv", index=False)


if __name__ == "__main__":
    main()
