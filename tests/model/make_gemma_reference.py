"""Records what `transformers` and `sentencepiece` make of gemma3-270m, for tests/model/test_gemma.py to compare with.

Run it from the repository root in an environment of its own with torch, transformers, gguf, accelerate, sentencepiece
and protobuf; the tests never run it:

    python -m tests.model.make_gemma_reference gemma-3-270m-q4_k_m.gguf

It writes tests/model/reference_gemma.json: the ids of texts by the sentencepiece package, from a model file made of the
GGUF file's tokens; features (after the last normalisation) and the most likely next tokens by transformers, which
unpacks the GGUF file by its own rules; and a greedy continuation.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

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


def pieces_of(path: Path) -> bytes:
    """Returns a SentencePiece model file of the GGUF file's tokens."""
    from gguf import GGUFReader
    from sentencepiece import sentencepiece_model_pb2 as proto

    fields = GGUFReader(path).fields
    model = proto.ModelProto()
    model.trainer_spec.model_type, model.trainer_spec.byte_fallback = proto.TrainerSpec.BPE, True
    model.trainer_spec.unk_id, model.trainer_spec.bos_id = 3, 2
    model.trainer_spec.eos_id, model.trainer_spec.pad_id = 1, 0
    model.normalizer_spec.name, model.normalizer_spec.add_dummy_prefix = "identity", False
    model.normalizer_spec.remove_extra_whitespaces = False
    kinds = fields["tokenizer.ggml.token_type"].contents()
    scores = fields["tokenizer.ggml.scores"].contents()
    for number, text in enumerate(fields["tokenizer.ggml.tokens"].contents()):
        kind = kinds[number]
        if number == 3:
            kind = 2
        elif kind == 3 and number > 2:
            kind = 4
        if kind == 4:
            text = text.replace(" ", "\u2581")
        model.pieces.add(piece=text, score=scores[number] if kind == 1 else 0.0, type=kind)
    return model.SerializeToString()


def main(path: Path) -> None:
    import sentencepiece
    import torch
    import transformers

    reader = sentencepiece.SentencePieceProcessor(model_proto=pieces_of(path))
    ids = {text: [2, *reader.encode(text)] for text in dict.fromkeys((*TEXTS, *FEATURES_OF, PROMPT))}
    model = transformers.AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32, attn_implementation="eager"
    ).eval()
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
    target.write_text(json.dumps(reference, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
