"""The top 2 of 6 blocks, 10 epochs: kft against plain Keras `fit` with the lower blocks at trainable=False."""

from __future__ import annotations

from common import accuracy, arguments, forget_features, in_turns, ratios, report, timed, workplace, write_subset
from keras_side import keras_fit
from kft_side import load_rows, logits, tokens, train

EPOCHS, LR = 10, 1e-4


def main() -> None:
    """Measures, checks that the answers are as good, writes the result."""
    args = arguments(__doc__, rows=500)
    phases = [{"name": "top", "unfreeze": "top-2", "epochs": EPOCHS, "lr": LR}]
    settings = {"phases": phases, "schedule": "constant", "warmup": "0%", "early_stopping": None}
    with workplace() as folder:
        rows = load_rows(write_subset(args.train, args.rows, folder / "train.csv"), args.test, **settings)
        test = tokens(list(rows.split.test.inputs))

        def run(work):
            forget_features()
            model, seconds = timed(work)
            return {
                **seconds,
                "test_accuracy": accuracy(logits(getattr(model, "model", model), test), rows.test_targets),
            }

        found = in_turns(
            {
                "kft": lambda: run(lambda: train(rows, folder)),
                "Keras fit": lambda: run(lambda: keras_fit(rows, "top-2", EPOCHS, LR)),
            },
            args.repeats,
        )
        report("partial", found, ratios_to_kft=ratios(found, "kft"), rows=len(rows.split.train))


if __name__ == "__main__":
    main()
