"""A head on frozen features, 10 epochs: kft against plain Keras `fit` with trainable=False.

Also: a second kft run with another rate, which starts from the store.
"""

from __future__ import annotations

from common import accuracy, arguments, forget_features, in_turns, ratios, report, timed, workplace, write_subset
from keras_side import keras_fit
from kft_side import load_rows, logits, tokens, train

EPOCHS, LR = 10, 1e-3


def main() -> None:
    """Measures, checks that the answers are as good, writes the result."""
    args = arguments(__doc__)
    with workplace() as folder:
        rows = load_rows(write_subset(args.train, args.rows, folder / "train.csv"), args.test)
        test = tokens(list(rows.split.test.inputs))

        def head(lr: float):
            phases = [{"name": "head", "unfreeze": "none", "epochs": EPOCHS, "lr": lr}]
            return load_rows(folder / "train.csv", args.test, phases=phases, schedule="constant", warmup="0%")

        def run(work, forget: bool):
            if forget:
                forget_features()
            model, seconds = timed(work)
            return {
                **seconds,
                "test_accuracy": accuracy(logits(getattr(model, "model", model), test), rows.test_targets),
            }

        probe = load_rows(
            folder / "train.csv", args.test, phases=[{"name": "probe", "unfreeze": "none", "solver": "lbfgs"}]
        )
        found = in_turns(
            {
                "kft": lambda: run(lambda: train(head(LR), folder), True),
                "kft, second run": lambda: run(lambda: train(head(2 * LR), folder), False),
                "kft, probe solved": lambda: run(lambda: train(probe, folder), True),
                "kft, probe solved again": lambda: run(lambda: train(probe, folder), False),
                "Keras fit": lambda: run(lambda: keras_fit(rows, "none", EPOCHS, LR), True),
            },
            args.repeats,
        )
        report("frozen_probe", found, ratios_to_kft=ratios(found, "kft"), rows=len(rows.split.train))


if __name__ == "__main__":
    main()
