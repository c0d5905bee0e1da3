"""Records what `transformers` and `sentencepiece` make of gemma3-270m, for tests/model/test_gemma.py to compare with.

Run it from the repository root in an environment of its own with torch, transformers, gguf, accelerate, sentencepiece
and protobuf; the tests never run it:

    python -m tests.model.make_gemma_reference gemma-3-270m-q4_k_m.gguf

It writes tests/model/reference_gemma.json: the ids of texts by the sentencepiece package, from a model file made of the
GGUF file's tokens; features (after the last normalisation), the most likely next tokens and a greedy continuation by
transformers, whose weights the gguf package names and unpacks.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TEXTS = (
    "Hello world",
    "I am still waiting on my card?",
    "  two  spaces\n\nand\tlines\n",
    "h\u00e9llo \u00fcn\u00ef \U0001f600 \u4e2d\u6587 \u0928\u0940",
    "<start_of_turn>user\nHi<end_of_turn>",
    "a" * 40 + " " * 40,
    "<h1>Title</h1> <b>bold</b> </unknown>",
    "1234567 3.14 $5.00 50%",
    "e\u0301 \uff21\u2460 \ufb01ne",
    "\u202e\u200d\x07 bytes \U0010fffd",
    "",
    " ",
    "def f(x):\n    return x ** 2\n",
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645",
)
FEATURES_OF = ("I am still waiting on my card?", "My card was declined at the shop, and the app says nothing. " * 4)
PROMPT, CONTINUED = "The capital of France is", 12
DIMENSIONS = 16
EMBEDDING = "token_embd.weight"


def pieces_of(path: Path) -> bytes:
    """Returns a SentencePiece model file of the GGUF file's tokens."""
    from sentencepiece import sentencepiece_model_pb2 as proto

    from kft.model.gguf import open_gguf  # gguf's own reader takes half a minute; tests compare the two

    values = open_gguf(path).values
    model = proto.ModelProto()
    model.trainer_spec.model_type, model.trainer_spec.byte_fallback = proto.TrainerSpec.BPE, True
    model.trainer_spec.unk_id, model.trainer_spec.bos_id = 3, 2
    model.trainer_spec.eos_id, model.trainer_spec.pad_id = 1, 0
    model.normalizer_spec.name, model.normalizer_spec.add_dummy_prefix = "identity", False
    model.normalizer_spec.remove_extra_whitespaces = False
    kinds = values["tokenizer.ggml.token_type"]
    scores = values["tokenizer.ggml.scores"]
    for number, text in enumerate(values["tokenizer.ggml.tokens"]):
        kind = kinds[number]
        if number == 3:
            kind = 2
        elif kind == 3 and number > 2:
            kind = 4
        if kind == 4:
            text = text.replace(" ", "\u2581")
        model.pieces.add(piece=text, score=scores[number] if kind == 1 else 0.0, type=kind)
    return model.SerializeToString()


def load_transformers(path: Path) -> Any:
    """Returns transformers' model of the GGUF file."""
    import torch
    from gguf import MODEL_ARCH, get_tensor_name_map
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    from kft.model.gguf import open_gguf

    file = open_gguf(path)
    sizes = {key.removeprefix("gemma3."): value for key, value in file.values.items() if key.startswith("gemma3.")}
    config = Gemma3TextConfig(
        vocab_size=len(file.values["tokenizer.ggml.tokens"]),
        hidden_size=sizes["embedding_length"],
        intermediate_size=sizes["feed_forward_length"],
        num_hidden_layers=sizes["block_count"],
        num_attention_heads=sizes["attention.head_count"],
        num_key_value_heads=sizes["attention.head_count_kv"],
        head_dim=sizes["attention.key_length"],
        query_pre_attn_scalar=sizes["attention.key_length"],
        sliding_window=sizes["attention.sliding_window"],
        max_position_embeddings=sizes["context_length"],
        attn_implementation="eager",
    )
    names = get_tensor_name_map(MODEL_ARCH.GEMMA3, sizes["block_count"])
    with torch.device("meta"):
        model = Gemma3ForCausalLM(config)
    given = {}
    for name, tensor in model.state_dict().items():
        array = file.tensor(names.get_name(name, try_suffixes=(".weight",)) if name != "lm_head.weight" else EMBEDDING)
        given[name] = torch.tensor(array - 1 if name.endswith("norm.weight") else array)
        assert given[name].shape == tensor.shape, name
    model = Gemma3ForCausalLM(config)
    model.load_state_dict(given)
    return model.eval()


def main(path: Path) -> None:
    import sentencepiece
    import torch
    import transformers

    reader = sentencepiece.SentencePieceProcessor(model_proto=pieces_of(path))
    ids = {text: [2, *reader.encode(text)] for text in dict.fromkeys((*TEXTS, *FEATURES_OF, PROMPT))}
    model = load_transformers(path)
    rows = []
    with torch.no_grad():
        for text in FEATURES_OF:
            found = model.model(torch.tensor([ids[text]])).last_hidden_state[0].numpy()
            last, mean = found[-1], found.mean(axis=0)
            rows.append({"text": text, "last": last[:DIMENSIONS].tolist(), "mean": mean[:DIMENSIONS].tolist()})
        given = torch.tensor([ids[PROMPT]])
        logits = model(given).logits[0, -1]
        best = logits.topk(5)
        continued = model.generate(given, max_new_tokens=CONTINUED, do_sample=False)[0, given.shape[1] :]
    reference = {
        "versions": {"transformers": transformers.__version__, "sentencepiece": sentencepiece.__version__},
        "ids": list(ids.items()),
        "features": rows,
        "next": {"text": PROMPT, "ids": best.indices.tolist(), "logits": best.values.tolist()},
        "continued": continued.tolist(),
    }
    target = Path(__file__).parent / "reference_gemma.json"
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in reference.items()]
    target.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
