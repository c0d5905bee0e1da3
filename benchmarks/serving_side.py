"""One way to answer, in a process of its own: prints one JSON line.

python benchmarks/serving_side.py artifact|run|keras|pipeline WHERE TEXTS

WHERE is an artifact, a run, a run, or the folder of a backbone's weights; TEXTS a JSON list. `pipeline` needs torch and
transformers, `artifact` what the artifact needs, and not kft.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

BATCH = 32
ALONE = 200

Ask = Callable[[list[str]], Any]


def artifact(where: Path) -> Ask:
    """The artifact's own run.py, as whoever has no kft would import it."""
    spec = importlib.util.spec_from_file_location("run", where / "run.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["run"] = module
    spec.loader.exec_module(module)
    about = json.loads((where / "artifact.json").read_text())
    module.require_whole(where, about["files"])
    return module.open_model(where, about).predict


def run(where: Path) -> Ask:
    """A run that kft has loaded."""
    import kft

    return kft.load(where).predict


def keras(where: Path) -> Ask:
    """The run's graph as Keras has it, answered by `predict`; texts are tokenized by the same tokenizer."""
    import numpy as np

    from kft.answer.load import load_artifact, read_run
    from kft.records.run_folder import open_run

    found = load_artifact(read_run(open_run(where)))
    names = tuple(tensor.name for tensor in found.graph.inputs)

    def ask(texts: list[str]) -> Any:
        source = found.reader.read(texts).source.select(names)
        return found.graph.predict(dict(zip(names, source.batch(np.arange(len(texts))), strict=True)), verbose=0)

    return ask


def pipeline(where: Path) -> Ask:
    """transformers' pipeline on the same backbone, with a head of as many classes (its weights do not matter)."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers import pipeline as make

    model = AutoModelForSequenceClassification.from_pretrained(where, num_labels=77)
    tokenizer = AutoTokenizer.from_pretrained(where)
    return make("text-classification", model=model, tokenizer=tokenizer, device="cpu", batch_size=BATCH, top_k=None)


def main() -> None:
    """Measures the first answer, single texts and batches."""
    ask = {"artifact": artifact, "run": run, "keras": keras, "pipeline": pipeline}[sys.argv[1]](Path(sys.argv[2]))
    texts = json.loads(Path(sys.argv[3]).read_text())
    ask(texts[:1])
    print(json.dumps({"first": True}), flush=True)
    ask(texts[:BATCH])
    alone, cpu = [], time.process_time()
    for text in texts[:ALONE]:
        start = time.perf_counter()
        ask([text])
        alone.append(1000 * (time.perf_counter() - start))
    cpu = time.process_time() - cpu
    batches, start, start_cpu = texts[: len(texts) // BATCH * BATCH], time.perf_counter(), time.process_time()
    for place in range(0, len(batches), BATCH):
        ask(batches[place : place + BATCH])
    wall, spent = time.perf_counter() - start, time.process_time() - start_cpu
    alone.sort()
    print(
        json.dumps(
            {
                "p50_ms": alone[len(alone) // 2],
                "p99_ms": alone[int(len(alone) * 0.99)],
                "cpu_ms": 1000 * cpu / len(alone),
                "texts_per_s": len(batches) / wall,
                "texts_per_cpu_s": len(batches) / spent,
            }
        )
    )


if __name__ == "__main__":
    main()
