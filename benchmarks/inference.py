"""Prediction: `Artifact.predict` from texts to labels, against the forward pass alone; and of one text, many times."""

from __future__ import annotations

import random

import kft_side
import numpy as np
from common import arguments, in_turns, ratios, report, timed, workplace, write_subset


def main() -> None:
    """Measures both on the same texts, after one warm-up each, and writes the result."""
    args = arguments(__doc__)
    with workplace() as folder:
        rows = kft_side.load_rows(write_subset(args.train, args.rows, folder / "train.csv"), args.test)
        texts = list(rows.split.test.inputs)
        import keras

        import kft
        from kft.answer.artifact import Artifact
        from kft.features.inference import make_inference, run_in_batches
        from kft.model.encode import Reader
        from kft.recipe.schema import RecipeSpec
        from kft.tasks.registry import TASKS

        backbone = kft.load_backbone("minilm-l6")
        artifact = Artifact(
            kft.build_model(backbone, classes=len(rows.split.labels)),
            Reader(TASKS.get("text-classification"), backbone.tokenizer, 128, None),
            rows.split.kind,
            rows.split.space,
            RecipeSpec.model_validate({"task": "text-classification", "data": {"train": "rows.csv"}}),
        )
        source = kft_side.tokens(texts)
        listed = keras.Model(artifact.graph.inputs, artifact.graph.outputs[0])
        source = source.select(tuple(tensor.name for tensor in listed.inputs))
        inference = make_inference(listed, 32)
        words = [word for text in texts for word in text.split()]
        draw = random.Random(0)
        mixed = []
        for _ in range(1000):  # texts of 1 to 110 words, each length as often
            length = draw.randint(1, 110)
            start = draw.randrange(len(words) - length)
            mixed.append(" ".join(words[start : start + length]))
        artifact.predict(texts[:64])
        artifact.predict(mixed[:64])
        run_in_batches(inference, source, rows=np.arange(64))
        found = in_turns(
            {
                "forward pass": lambda: timed(lambda: run_in_batches(inference, source))[1],
                "kft predict": lambda: timed(lambda: artifact.predict(texts))[1],
                "1,000 texts of all lengths": lambda: timed(lambda: artifact.predict(mixed))[1],
                "one text, 100 times": lambda: timed(lambda: [artifact.predict(texts[:1]) for _ in range(100)])[1],
            },
            args.repeats,
        )
        report("inference", found, ratios_to_forward=ratios(found, "forward pass"), texts=len(texts))


if __name__ == "__main__":
    main()
