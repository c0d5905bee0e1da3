"""Hugging Face and PEFT, in an environment of their own: seconds of some steps as one JSON line.

python benchmarks/language_peer.py FOLDER SETTINGS

FOLDER holds config.json, model.safetensors and ids.npy; SETTINGS is a JSON object. See language.py.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM


def main() -> None:
    """Takes one step that is not counted, and then the others."""
    folder, asked = Path(sys.argv[1]), json.loads(sys.argv[2])
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    if asked["part"] == "lora":
        from peft import LoraConfig, get_peft_model

        rank = asked["rank"]
        model = get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=["q_proj", "v_proj"]))
    ids = torch.from_numpy(np.load(folder / "ids.npy").astype(np.int64))
    labels = ids.clone()
    labels[:, : asked["prompt"]] = -100
    moved = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(moved, lr=asked["lr"], weight_decay=0.01)
    model.train()

    def step() -> float:
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(moved, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.detach())

    first = step()
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(asked["steps"]):
        step()
    seconds = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({**seconds, "first_loss": first, "peak_mib": peak}))


if __name__ == "__main__":
    main()
