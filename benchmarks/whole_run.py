"""A whole `kft train` with a probe alone, from the start of the process to its exit, against one forward pass.

The forward pass is that of the frozen model, in bucketed batches, over every row that the run reads (train, valid
and test); it is timed alone, without loading, tokenizing or tracing.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

import kft_side
import numpy as np
from common import arguments, forget_features, in_turns, ratios, report, timed, workplace, write_subset


def main() -> None:
    """Measures both in turns, and writes the result."""
    args = arguments(__doc__, rows=0, repeats=1)
    with workplace() as folder:
        train = write_subset(args.train, args.rows, folder / "train.csv")
        rows = kft_side.load_rows(train, args.test)
        recipe = folder / "probe.yaml"
        data = {"train": str(train), "test": str(args.test.absolute()), "text": "text", "label": "label"}
        phases = [{"name": "probe", "unfreeze": "none", "solver": "lbfgs"}]
        recipe.write_text(json.dumps({"task": "text-classification", "data": data, "train": {"phases": phases}}))
        import keras

        import kft
        from kft.features.inference import make_inference, run_in_batches

        split = rows.split
        source = kft_side.tokens([*split.train.inputs, *split.valid.inputs, *split.test.inputs])
        model = kft.build_model(kft.load_backbone("minilm-l6"), classes=len(split.labels))
        listed = keras.Model(model.inputs, model.outputs[0])
        source = source.select(tuple(tensor.name for tensor in listed.inputs))
        inference = make_inference(listed, 32)
        run_in_batches(inference, source, rows=np.arange(64))

        def whole() -> dict[str, float]:
            forget_features()
            number = len(list(folder.glob("run-*")))
            before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            command = [sys.executable, "-m", "kft.cli.main", "train", str(recipe), "--json", "--quiet"]
            done = subprocess.run([*command, "--run", str(folder / f"run-{number}")], check=True, capture_output=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            value = json.loads(done.stdout)["metrics"]["accuracy"]["value"]
            return {"cpu_s": cpu, "wall_s": time.perf_counter() - wall, "test_accuracy": value}

        found = in_turns(
            {"forward pass": lambda: timed(lambda: run_in_batches(inference, source))[1], "kft train": whole},
            args.repeats,
        )
        report("whole_run", found, ratios_to_forward=ratios(found, "forward pass"), rows=len(source))


if __name__ == "__main__":
    main()
