"""Tokens a CPU second of a language model: steps of LoRA and of all weights, reading and writing, beside keras-hub.

The same weights, batch and lengths: prompts of 256 tokens, responses of 128, random ids. keras-hub's side is its
``CausalLM`` as it comes: ``compile``, ``fit`` with a sample weight a token, ``generate``. With --peers, the Python of
an environment of its own (make bench-peers), Hugging Face with PEFT on the same weights. Each arm is a process of its
own; the first step, which traces, is left out on all sides.

    python benchmarks/language.py --parts lora,full,write [--peers PYTHON]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from common import in_turns, peak_mib, ratios, report, timed

BACKBONE, RANK, LR = "gemma3-270m", 16, 1e-4


def main() -> None:
    """Measures the arms in turns and writes the result; as a child, runs one arm and prints one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default="lora,full,write")
    parser.add_argument("--peers", default="", help="python of the peers' environment; only for lora and full")
    for name, default in {"prompt": 256, "response": 128, "batch": 2, "steps": 2, "repeats": 2}.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"default {default}")
    parser.add_argument("--arm", default="", help=argparse.SUPPRESS)
    parser.add_argument("--name", default="language")
    args = parser.parse_args()
    if args.arm:
        side, part = args.arm.split(":")
        print(json.dumps({**ARMS[side](part, args), "peak_mib": peak_mib()}))
        return
    found, compared = {}, {}
    with tempfile.TemporaryDirectory() as place:
        for part in args.parts.split(","):
            arms = {side: (lambda side=side, part=part: child(side, part)) for side in ARMS}
            if args.peers and part != "write":
                arms["peft"] = lambda part=part: peer(part, args, Path(place))
            found[part] = in_turns(arms, args.repeats)
            units = tuple(key for key in found[part]["kft"] if key.endswith("cpu_s"))
            compared[part] = ratios(found[part], "kft", units)
    report(
        args.name, found, ratios_to_kft=compared, **{key: vars(args)[key] for key in ("prompt", "response", "batch")}
    )


def child(side: str, part: str) -> dict[str, float]:
    """Runs an arm in a process of its own."""
    command = [sys.executable, *sys.argv, "--arm", f"{side}:{part}"]
    return read(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def read(printed: str) -> dict[str, float]:
    """Returns what an arm says in its last line."""
    return {**json.loads(printed.strip().splitlines()[-1]), "load": os.getloadavg()[0]}


def rows(args: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Returns token ids and, at each position of a response but its last, the id that follows; else 0."""
    length = args.prompt + args.response
    ids = np.random.default_rng(0).integers(1000, 200_000, (args.batch, length)).astype(np.int32)
    right = np.zeros_like(ids)
    right[:, args.prompt - 1 : -1] = ids[:, args.prompt :]
    return ids, right


def loaded() -> Any:
    """Returns the backbone."""
    import kft

    return kft.load_backbone(BACKBONE, dropout=0.0)


def kft_side(part: str, args: argparse.Namespace) -> dict[str, float]:
    """kft's own step, and its writer."""
    import kft

    backbone = loaded()
    if part == "write":
        return kft_writes(backbone, args)
    from kft.features.boundary import fast_forward_of, split_at_boundary
    from kft.recipe.training import LoraSpec, PhaseSpec, TrainSpec
    from kft.tasks.responses import RESPONSES, TARGETS
    from kft.tasks.task import AnswerSpace
    from kft.train.feeding import CallBatches
    from kft.train.objectives import objective_of
    from kft.train.optimizer import make_optimizer
    from kft.train.step import make_train_step

    lora = LoraSpec(rank=RANK) if part == "lora" else None
    rule = {"lora": {"rank": RANK}} if lora else "all"
    model = kft.build_model(backbone, head="language", classes=0, lora=lora)
    kft.freeze(model, rule)
    phase = PhaseSpec.model_validate({"name": "p", "unfreeze": rule, "epochs": 1, "lr": LR})
    spec = TrainSpec.model_validate({"batch_size": args.batch})
    forward = fast_forward_of(split_at_boundary(model), stored=False)
    optimizer = make_optimizer(model, phase, spec, args.steps + 1, None)
    assert objective_of(phase, RESPONSES)
    step = make_train_step(forward, model, optimizer, spec, RESPONSES.learning.objective(AnswerSpace(()), 0.0))
    ids, right = rows(args)
    given = {"token_ids": ids, "padding_mask": np.ones_like(ids), TARGETS: np.where(right > 0, right + 1, 0)}
    tensors = tuple(given[tensor.name][None] for tensor in forward.inputs)
    ones, lengths = np.ones((1, args.batch), np.float32), np.full((1, len(tensors) + 1), ids.shape[1], np.int32)
    block = CallBatches(tensors, np.zeros((1, args.batch), np.int32), ones, ones, lengths)
    losses = []

    def steps(count: int) -> None:
        for _ in range(count):
            sums = np.asarray(step(block, np.zeros(1, np.float32), np.int32(1)))[0]
            losses.append(float(sums[0] / sums[2]))

    steps(1)
    return spoken(timed(lambda: steps(args.steps))[1], args, losses[0])


def spoken(seconds: dict[str, float], args: argparse.Namespace, loss: float) -> dict[str, float]:
    """Returns seconds a step, tokens a CPU second, and the first step's loss: the same on all sides."""
    tokens = args.batch * (args.prompt + args.response)
    step = {key: value / args.steps for key, value in seconds.items()}
    return {**step, "tokens_per_cpu_s": tokens / step["cpu_s"], "first_loss": loss}


def hub_side(part: str, args: argparse.Namespace) -> dict[str, float]:
    """keras-hub's ``CausalLM`` on the same backbone."""
    import keras

    from kft.model.language import causal_lm

    model = causal_lm(loaded().model)
    if part == "write":
        return hub_writes(model, args)
    if part == "lora":
        model.backbone.enable_lora(RANK)
    model.compile(
        optimizer=keras.optimizers.AdamW(LR, weight_decay=0.01, global_clipnorm=1.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[],
    )
    ids, right = rows(args)
    x = {"token_ids": ids, "padding_mask": np.ones_like(ids)}
    y, weight = right, (right > 0).astype(np.float32)
    weight *= weight.size / weight.sum()
    first = model.fit(x, y, sample_weight=weight, batch_size=args.batch, epochs=1, verbose=0).history["loss"][0]
    more = {key: np.tile(value, (args.steps, 1)) for key, value in x.items()}
    again = [np.tile(value, (args.steps, 1)) for value in (y, weight)]

    def fit() -> None:
        model.fit(more, again[0], sample_weight=again[1], batch_size=args.batch, epochs=1, verbose=0)

    return spoken(timed(fit)[1], args, float(first))


def kft_writes(backbone: Any, args: argparse.Namespace) -> dict[str, float]:
    """Reads a batch of prompts and writes responses of full length with kft's writer."""
    from kft.answer.write import SamplingParams, writer_on

    prompts = list(rows(args)[0][:, : args.prompt])
    reader: Any = SimpleNamespace(
        prompt_tokens=args.prompt,
        response_tokens=args.response,
        ends=(),
        prompts=lambda given: (list(given), np.zeros(len(given))),
        text=lambda ids: "",
        allowed=lambda ids: None,
    )
    writer = writer_on(backbone.model, {}, reader, rows=args.batch)
    writer.write(prompts, SamplingParams(max_tokens=2))
    return apart(lambda count: writer.write(prompts, SamplingParams(max_tokens=count)), args)


def hub_writes(model: Any, args: argparse.Namespace) -> dict[str, float]:
    """The same with the function of keras-hub's ``generate``, which itself stumbles over a Gemma 3 of texts alone.

    Where an answer has one token, all others stand in the prompt.
    """
    model.compile(sampler="greedy")
    ids, generate = rows(args)[0], model.make_generate_function()

    def write(count: int) -> None:
        mask = np.ones_like(ids, bool)
        mask[:, ids.shape[1] - count :] = False
        np.asarray(generate({"token_ids": ids, "padding_mask": mask}, stop_token_ids=None)["token_ids"])

    write(2)
    return apart(write, args)


def apart(write: Any, args: argparse.Namespace) -> dict[str, float]:
    """Returns seconds of reading a batch of prompts, and of a written token of all its rows."""
    _, one = timed(lambda: write(1))
    _, all_of_them = timed(lambda: write(args.response))
    decode = (all_of_them["cpu_s"] - one["cpu_s"]) / (args.response - 1)
    return {
        "prefill_cpu_s": one["cpu_s"],
        "decode_cpu_s": decode,
        "prefill_tokens_per_cpu_s": args.batch * args.prompt / one["cpu_s"],
        "decode_tokens_per_cpu_s": args.batch / decode,
    }


def peer(part: str, args: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Hugging Face, and PEFT for adapters, on the same weights: written once as safetensors."""
    from safetensors.numpy import save_file

    from kft.model.gguf_gemma import GgufTensors, read_gguf_config
    from kft.model.sources import fetch_backbone

    if not (folder / "config.json").is_file():
        path = fetch_backbone(BACKBONE)
        tensors = GgufTensors(path)
        save_file({name: tensors.get_tensor(name) for name in tensors.keys()}, folder / "model.safetensors")  # noqa: SIM118
        (folder / "config.json").write_text(json.dumps(read_gguf_config(path)))
        np.save(folder / "ids.npy", rows(args)[0])
    given = {"part": part, "rank": RANK, "lr": LR, **{key: vars(args)[key] for key in ("prompt", "steps", "batch")}}
    command = [args.peers, str(Path(__file__).parent / "language_peer.py"), str(folder), json.dumps(given)]
    found = read(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    seconds = {key: found[key] for key in ("cpu_s", "wall_s")}
    return {**spoken(seconds, args, found["first_loss"]), "peak_mib": found["peak_mib"], "load": found["load"]}


ARMS = {"kft": kft_side, "keras-hub": hub_side}

if __name__ == "__main__":
    main()
