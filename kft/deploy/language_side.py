"""What another library makes of an exported language model: a script for a fresh process, where kft cannot be imported.

``python language_side.py FOLDER LIBRARY INPUTS MADE``: a line of INPUTS is a prompt in its template with its token
ids and those of its answer, and the ids whose logits are asked for at each place. MADE gets, a row each, the ids that
the library reads of the prompt, what it writes greedily, and these logits with the logarithm of the sum of all.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

Row = dict[str, Any]


def with_keras_hub(folder: str, rows: Sequence[Row]) -> list[Row]:
    """Loads with keras-hub; of a folder for transformers the weights alone, since its tokens are read by tokenizers."""
    from pathlib import Path

    import keras_hub

    if (Path(folder) / "task.json").is_file():
        model = keras_hub.models.CausalLM.from_preset(folder)
        given = _packed(model.preprocessor, rows)
        prompts = [np.asarray(ids)[np.asarray(mask) > 0] for ids, mask in zip(*given, strict=True)]

        def decode(ids: Sequence[int]) -> str:
            return str(model_tokenizer.detokenize(np.asarray(ids, np.int32)))

        model_tokenizer, model.preprocessor = model.preprocessor.tokenizer, None
    else:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
        model = keras_hub.models.CausalLM.from_preset(folder, preprocessor=None)
        prompts = [np.asarray(tokenizer.encode(row["prompt"]).ids) for row in rows]

        def decode(ids: Sequence[int]) -> str:
            return str(tokenizer.decode([int(each) for each in ids]))

    length = max(row["length"] for row in rows)
    tokens, mask = _padded([row["ids"] for row in rows], length)
    model.compile(sampler="greedy")  # it draws by chance otherwise
    # As `generate` does, which cannot give back what a model of texts alone leaves out. A row at a time: several go in
    # step, the shortest prompt first, and a few rows times a large vocabulary are dearer than each of them alone.
    write = model.make_generate_function()
    found = []
    for place, (row, prompt) in enumerate(zip(rows, prompts, strict=True)):
        asked = {"token_ids": tokens[place : place + 1], "padding_mask": mask[place : place + 1].astype(bool)}
        written = np.asarray(write(asked, stop_token_ids=tuple(row["ends"]))["token_ids"])[0]
        first = len(row["ids"])
        said = _until_end(written[first : first + row["room"]], row["ends"])
        ids, real = _padded([[*row["ids"], *row["said"]]], length)
        logits = np.asarray(model({"token_ids": ids, "padding_mask": real}, training=False))[0]
        found.append({"read": prompt, "text": decode(said), "said": said, **_asked(logits, row)})
    return found


def _packed(preprocessor: Any, rows: Sequence[Row]) -> tuple[Any, Any]:
    length = max(row["length"] for row in rows)
    found = preprocessor.generate_preprocess([row["prompt"] for row in rows], sequence_length=length)
    return np.asarray(found["token_ids"]), np.asarray(found["padding_mask"])


def with_transformers(folder: str, rows: Sequence[Row]) -> list[Row]:
    """Loads with transformers on torch."""
    from importlib import import_module

    torch, transformers = import_module("torch"), import_module("transformers")  # kft itself needs neither

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    found = []
    for row in rows:
        read, prompt = tokenizer(row["prompt"]).input_ids, torch.tensor([row["ids"]])
        with torch.no_grad():
            out = model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                do_sample=False,
                max_new_tokens=row["room"],
                eos_token_id=row["ends"],
                pad_token_id=row["ends"][0],
            )
            logits = model(torch.tensor([[*row["ids"], *row["said"]]])).logits[0].float().numpy()
        said = _until_end(out[0, prompt.shape[1] :].numpy(), row["ends"])
        text = tokenizer.decode(said, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        found.append({"read": read, "text": text, "said": said, **_asked(logits, row)})
    return found


def _padded(rows: Sequence[Any], length: int) -> tuple[np.ndarray, np.ndarray]:
    ids, mask = np.zeros((len(rows), length), np.int32), np.zeros((len(rows), length), np.int32)
    for place, row in enumerate(rows):
        ids[place, : len(row)], mask[place, : len(row)] = row, 1
    return ids, mask


def _until_end(ids: Any, ends: Sequence[int]) -> list[int]:
    said = [int(each) for each in ids]
    return next((said[:place] for place, each in enumerate(said) if each in ends), said)


def _asked(logits: np.ndarray, row: Row) -> Row:
    """Returns the logits that are asked for, at the prompt's last token and at each of the answer's but the last."""
    first = len(row["ids"]) - 1
    at = logits[first : first + len(row["asked"])].astype(np.float64)
    highest = at.max(axis=-1, keepdims=True)
    total = np.log(np.exp(at - highest).sum(axis=-1)) + highest[:, 0]
    return {"logits": np.take_along_axis(at, np.asarray(row["asked"]), axis=1), "total": total}


LIBRARIES = {"keras-hub": with_keras_hub, "transformers": with_transformers}


def main() -> None:
    """Answers the file of rows."""
    folder, library, asked, made = sys.argv[1:5]
    with open(asked, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    found = LIBRARIES[library](folder, rows)
    with open(made, "w", encoding="utf-8") as file:
        json.dump(found, file, default=lambda array: array.tolist())


if __name__ == "__main__":
    main()
