"""Prompting a language model that writes and was not tuned: alone, with fixed examples, with the nearest ones.

The form of a prompt is chosen by how likely it makes the right responses of valid, which takes one pass and no writing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kft.answer.write import SamplingParams, writer_on
from kft.compare.verdict import WITH_PASSAGES
from kft.compare.written_names import GROUNDED
from kft.compare.written_prompts import FittedPrompts, PromptFormat, fit_prompts, forms_of, nearest_by_words
from kft.compare.written_setting import ROWS, Completions, WritingApproach, WritingSetting, responses_of, write_all
from kft.data.examples import Examples
from kft.errors import ModelError
from kft.recipe.schema import ONE_TURN
from kft.split.labels import prompts_of

CHOICE_ROWS = {"zero-shot": 32, GROUNDED: 16, "few-shot": 16, "retrieved-shots": 16}
"""Rows of valid that a form is chosen by: with examples a prompt is several times as long."""
ALONE = ("zero-shot", GROUNDED)
"""Approaches without examples."""
STEP = 32
"""Prompts have room for a multiple of so many tokens."""


def prompted(given: WritingSetting, name: str) -> WritingApproach:
    """Chooses a form under which valid's right responses are likeliest, and writes with it.

    Raises:
        ModelError: Every form is longer than what the model reads.
    """
    if given.reader.turns != ONE_TURN:
        raise ModelError("chats of several turns are not prompted: examples before them would be turns as well")
    known = given.split if name.endswith(WITH_PASSAGES) else given.plain
    drawn = np.random.default_rng(given.spec.seed).permutation(len(given.split.valid))[: CHOICE_ROWS[name]]
    rows = known.valid.take(np.sort(drawn))
    right, recalled = responses_of(rows), given.saved.recall(name)
    tried: list[tuple[float, PromptFormat]] = []
    before = 0.0
    for form in forms_of(given.spec, given.responses):
        try:
            fitting = _prompts(given, name, form, rows)
        except ModelError as error:
            given.progress.note(f"{'':<10} {form.name} left out: {error.problem}")
            continue
        asked = f"loss {form.name} {list(drawn)}"
        if recalled.get(asked) is None:
            started = time.perf_counter()
            found = _loss(given, fitting, [form.gap + text for text in right])
            recalled.keep({asked: [found, time.perf_counter() - started]})
        else:
            before += recalled.get(asked)[1]
        loss = recalled.get(asked)[0]
        given.progress.note(f"{'':<10} {form.name}: token log loss {loss:.3f} of {len(rows)} right responses of valid")
        tried.append((loss, form))
    if not tried:
        raise ModelError("every form of prompts is longer than what the language model reads")
    form = min(tried, key=lambda each: each[0])[1]
    asking = SamplingParams(stop=(form.end(given.responses),))

    def write(part: Examples) -> Completions:
        fitting = _prompts(given, name, form, part)
        if fitting.shortened:
            said = f"{fitting.shortened} of {len(part)} prompts leave examples out to be read whole"
            given.progress.note(f"{'':<10} {said}")
        room = min(given.whole.prompt_tokens, -(-int(fitting.tokens.max()) // STEP) * STEP)
        choices = tuple(form.gap + each for each in given.whole.choices)
        reader = replace(given.whole, prompt_tokens=room, choices=choices)
        found = write_all(
            given, lambda: writer_on(given.backbone.model, {}, reader, ROWS), fitting.texts, asking, recalled
        )
        return replace(found, texts=[text.strip() for text in found.texts])

    chosen = {
        "form": vars(form),
        "shots": 0 if name in ALONE else min(given.spec.compare.shots, len(given.split.train)),
        "stop": asking.stop[0],
        "chosen_on": len(rows),
        "tried": [{"form": each.name, "token_log_loss": round(loss, 4)} for loss, each in tried],
    }
    size = 4 * given.backbone.model.count_params()
    return WritingApproach(write, bytes=size, chosen=chosen, before=before)


def _prompts(given: WritingSetting, name: str, form: PromptFormat, part: Examples) -> FittedPrompts:
    prompts, known = given.cut(part.inputs), given.split.train
    shots: list[list[tuple[str, str]]] = [[] for _ in prompts]
    if part.passages is not None:  # the same that a tuned model has room for
        prompts, _ = given.reader.composed(prompts_of(replace(part, inputs=prompts)))
    if name not in ALONE:
        count = given.spec.compare.shots
        if name == "few-shot":
            fixed = np.random.default_rng(given.spec.seed).permutation(len(known))[:count]
            places = np.tile(fixed, (len(prompts), 1))
        else:
            places = nearest_by_words(part.inputs, known.inputs, count)
        used = np.unique(places).tolist()
        texts = dict(zip(used, given.cut([known.inputs[row] for row in used]), strict=True))
        shots = [[(texts[row], given.responses[row]) for row in own] for own in places.tolist()]
    return fit_prompts(form, prompts, shots, given.whole)


def _loss(given: WritingSetting, fitting: FittedPrompts, right: Sequence[str]) -> float:
    """Returns how surprising the right responses are behind their prompts, in nats: the mean of each one's tokens."""
    from kft.features.inference import run_in_batches
    from kft.model.prompts import as_source

    prompts, _ = given.whole.prompts(fitting.texts)
    responses, _ = given.whole.responses(right)
    # Its end is no part: what was not tuned does not know how a response ends.
    source = as_source(prompts, [ids[:-1] if ids[-1] == given.whole.end else ids for ids in responses])
    inference, names = given.weighs
    (found,) = run_in_batches(inference, source.select(names))
    kind = given.split.kind
    answers = kind.judging.answers([found.row(row) for row in range(len(right))], given.split.space, None)  # type: ignore[union-attr]  # one row of each token
    return float(np.mean([each.losses.mean() for each in answers]))
