"""All blocks, the same batch size and epochs: kft against keras-hub's classifier and Hugging Face Trainer.

Also kft's default recipe against all of them and against a standardised logistic regression on the same vectors,
with the paired difference in accuracy. The torch peers run where --peers names their Python (make bench-peers).
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
from common import accuracy, arguments, forget_features, in_turns, ratios, report, timed, workplace, write_subset
from keras_side import keras_hub_fit, p99
from kft_side import load_rows, logits, tokens, train

from kft.packages import PACKAGES

LR = 5e-5


def main() -> None:
    """Measures, checks that the answers are as good, writes the result."""
    args = arguments(__doc__, repeats=1, epochs=3, peers="")
    phases = [{"name": "full", "unfreeze": "all", "epochs": args.epochs, "lr": LR}]
    with workplace() as folder:
        rows = load_rows(write_subset(args.train, args.rows, folder / "train.csv"), args.test, phases=phases)
        default = load_rows(folder / "train.csv", args.test)
        test = tokens(list(rows.split.test.inputs))
        right: dict[str, np.ndarray] = {}

        def scored(name: str, seconds: dict, found: np.ndarray) -> dict:
            right[name] = found.argmax(axis=1) == rows.test_targets
            return {**seconds, "test_accuracy": accuracy(found, rows.test_targets)}

        def ours(name: str, which) -> dict:
            forget_features()
            fitted, seconds = timed(lambda: train(which, folder))
            return scored(name, seconds, logits(fitted.model, test))

        def hub() -> dict:
            classifier, seconds = timed(lambda: keras_hub_fit(rows, args.epochs, LR))
            found = classifier.predict(np.array(rows.split.test.inputs), batch_size=32, verbose=0)
            return scored("keras-hub", seconds, found)

        def torch_peer(name: str) -> dict:
            from kft import assets

            write_splits(rows, folder)
            model = str(assets.fetch(PACKAGES.get("minilm-l6")))
            script = str(Path(__file__).parent / "peers_side.py")
            settings = {"epochs": args.epochs, "lr": LR, "by_length": name == "trainer-by-length"}
            peer = name.removesuffix("-by-length")
            command = [args.peers, script, peer, str(folder), model, json.dumps(settings)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            seconds = json.loads(done.stdout.strip().splitlines()[-1])
            return scored(name, seconds, np.load(folder / "logits.npy"))

        contenders = {
            "kft": lambda: ours("kft", rows),
            "kft, default recipe": lambda: ours("kft, default recipe", default),
            "keras-hub": hub,
        }
        if args.peers:
            for peer in ("trainer", "trainer-by-length", "sentence-transformers"):
                contenders[peer] = lambda peer=peer: torch_peer(peer)
        found = in_turns(contenders, args.repeats)
        report(
            "full",
            found,
            ratios_to_kft=ratios(found, "kft"),
            default_recipe_minus_peer=differences(right),
            p99_tokens=p99(rows),
            rows=len(rows.split.train),
            epochs=args.epochs,
        )


def write_splits(rows, folder: Path) -> None:
    """Writes the very same rows for peers that read files."""
    for name in ("train", "valid", "test"):
        frame = {"text": getattr(rows.split, name).inputs, "target": rows.targets(name)}
        pd.DataFrame(frame).to_csv(folder / f"{name}.csv", index=False)


def differences(right: dict[str, np.ndarray]) -> dict[str, list[float]]:
    """Returns the default recipe's accuracy less each peer's: low, value and high of its paired interval."""
    rng = np.random.default_rng(0)
    ours = right["kft, default recipe"].astype(float)
    picks = rng.integers(0, len(ours), (2000, len(ours)))
    table = {}
    for name, theirs in right.items():
        if not name.startswith("kft"):
            gain = ours - theirs
            low, high = np.quantile(gain[picks].mean(axis=1), [0.025, 0.975])
            table[name] = [round(float(value), 4) for value in (low, gain.mean(), high)]
    return table


if __name__ == "__main__":
    main()
