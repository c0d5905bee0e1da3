"""Prompting a language model: which label's words it finds likeliest behind the text; nothing is trained.

Template, examples, calibration and score are chosen on valid. Examples come from train alone, the same for all or the
nearest by the frozen backbone's vectors, which the feature store holds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from kft.compare.prompts import (
    FREE_OF_CONTENT,
    Prompter,
    Shot,
    fixed_shots,
    in_one_line,
    label_words,
    nearest_shots,
    shipped_templates,
)
from kft.compare.setting import Setting
from kft.compare.solution import Solution
from kft.data.examples import Examples
from kft.errors import ModelError
from kft.metrics.neighbours import unit_rows
from kft.model.likelihood import Likelihood, Work, work_of
from kft.recipe.comparing import TemplateSpec
from kft.tasks.decode import softmax
from kft.tasks.label_names import why_no_names

CHOICE_ROWS = 128
"""Rows of valid that templates and examples are chosen by."""
SAMPLE_ROWS = 32
"""Rows whose prompts are counted to estimate the work."""
NEEDED = "{name} reads texts and writes none: name a decoder, such as --language-model gemma3-270m"
TOO_LONG = "about {minutes:,.0f} minutes by its size ({classes} classes, {shots} examples), over --budget {budget:g}"


@dataclass(frozen=True)
class Manner:
    """One way to prompt.

    Attributes:
        template: How text and label stand.
        examples: ``none``, ``fixed`` or ``retrieved``.
    """

    template: TemplateSpec
    examples: str


@dataclass(frozen=True, eq=False)
class LabelScores:
    """What the words of labels got.

    Attributes:
        sums: ``float64[n, labels]``: log-likelihoods of each label's words behind each prompt.
        free: ``float64[n or 1, texts without content, labels]``: behind the same prompts without content; None where
            that was not asked for.
        lengths: ``int64[labels]``: tokens of each label's words.
        work: What it took.
        shortened: Prompts that had to leave examples out.
    """

    sums: np.ndarray
    free: np.ndarray | None
    lengths: np.ndarray
    work: Work
    shortened: int

    def logits(self, score: str, calibrated: bool) -> np.ndarray:
        """Returns ``float64[n, labels]``, whose softmax are the probabilities.

        Calibrated, each probability is divided by what its label gets without content, the mean over such texts (Zhao
        et al., 2021), and all are brought to a sum of 1.
        """
        by = self.lengths if score == "mean" else 1
        found = self.sums / by
        if calibrated and self.free is not None:
            # In logarithms all the way: a share of e^-800 is no number, and its logarithm is -800.
            free = self.free / by
            shares = free - np.logaddexp.reduce(free, axis=-1, keepdims=True)
            found = found - (np.logaddexp.reduce(shares, axis=1) - np.log(free.shape[1]))
        return found


@dataclass(frozen=True, eq=False)
class PromptSetting:
    """A language model and the examples that prompts are made of.

    Attributes:
        setting: The data that choices may see.
    """

    setting: Setting

    @cached_property
    def words(self) -> tuple[str, ...]:
        return label_words(self.setting.spec.compare, self.setting.split.labels)

    @cached_property
    def model(self) -> Any:
        found = self.setting.language_model
        assert found is not None  # ``unfit`` says so
        return found

    @cached_property
    def weigh(self) -> Likelihood:
        return Likelihood(self.model.model)

    @cached_property
    def manners(self) -> tuple[Manner, ...]:
        """The first round: every template, with the cheapest examples that are allowed."""
        asked = self.setting.spec.compare
        first = "none" if asked.examples == "auto" else asked.examples
        return tuple(Manner(template, first) for template in asked.templates or shipped_templates())

    @cached_property
    def targets(self) -> np.ndarray:
        """``int[train]``: the label of each example; of soft labels the largest."""
        found = self.setting.targets(self.setting.split.train)
        return found.argmax(axis=1) if found.ndim == 2 else found.astype(np.int64)

    @cached_property
    def known(self) -> list[str]:
        return self.lines(self.setting.split.train.inputs)[0]

    @cached_property
    def fixed(self) -> np.ndarray:
        spec = self.setting.spec
        return fixed_shots(self.targets, len(self.words), spec.compare.shots, spec.seed)

    def lines(self, texts: Sequence[str]) -> tuple[list[str], int]:
        return in_one_line(texts, self.model.tokenizer, self.setting.spec.model.max_tokens)

    def prompter(self, template: TemplateSpec) -> Prompter:
        return Prompter(template, self.words, self.model.tokenizer, self.model.max_tokens)

    def shots_of(self, manner: Manner, examples: Examples, vectors: np.ndarray | None = None) -> list[list[Shot]]:
        """Returns the labelled examples of each prompt; see ``score``."""
        if manner.examples == "none":
            rows = np.zeros((len(examples), 0), np.int64)
        elif manner.examples == "fixed":
            rows = np.tile(self.fixed, (len(examples), 1))
        else:
            own = self.setting.seen_of(examples).vectors if vectors is None else vectors
            known = self.setting.seen_of(self.setting.split.train).unit
            rows = nearest_shots(unit_rows(own), known, self.setting.spec.compare.shots)
        return [[Shot(self.known[row], int(self.targets[row])) for row in own] for own in rows]

    def score(
        self, manner: Manner, examples: Examples, *, free: bool, vectors: np.ndarray | None = None
    ) -> LabelScores:
        """Weighs the labels' words behind each example.

        Args:
            manner: How it is asked.
            examples: The rows; their labels play no part.
            free: Whether also behind texts without content.
            vectors: ``float32[n, width]`` by the frozen backbone; None: looked up, for a part of the split alone.

        Raises:
            ModelError: A prompt is longer than what the model reads.
        """
        prompter, own = self.prompter(manner.template), manner.examples == "retrieved"
        shots, words = self.shots_of(manner, examples, vectors), prompter.label_tokens
        rows, shortened = prompter.tokens_of(self.lines(examples.inputs)[0], shots)
        groups = [[row] for row in rows]
        if free and own:
            without, _ = prompter.tokens_of([FREE_OF_CONTENT[0]] * len(rows), shots)
            groups = [[row, other] for row, other in zip(rows, without, strict=True)]
        elif free:
            without, _ = prompter.tokens_of(FREE_OF_CONTENT, [shots[0]] * len(FREE_OF_CONTENT))
            groups += [[other] for other in without]
        said = f"prompts, {manner.template.name}"
        with self.setting.progress.task(said, sum(map(len, groups))) as tick:
            found = self.weigh.of(groups, words, tick)
        sums = np.stack([each[0] for each in found[: len(rows)]])
        empty = None
        if free:
            empty = np.stack([each[1:] for each in found]) if own else np.concatenate(found[len(rows) :])[None]
        return LabelScores(sums, empty, words.lengths, work_of(groups, words), shortened)


def unfit(setting: Setting) -> str:
    """Says why no language model can be asked; empty when one can."""
    if setting.per_token:
        return "a language model is asked of whole texts, not of their words"
    if not setting.task.kind.one_class:
        return "a language model weighs labels against one another, which says nothing of each by itself, or of numbers"
    asked, labels = setting.spec.compare, setting.split.labels
    why = why_no_names(setting.task, [asked.label_words.get(label, label) for label in labels])
    if why:
        return why
    words = label_words(asked, labels)
    alike = sorted({word for word in words if words.count(word) > 1})
    if alike:
        return f"two labels have the words {alike[0]!r}: compare.label_words tells them apart"
    return "" if setting.language_model is not None else NEEDED.format(name=setting.backbone.name)


def too_long(setting: Setting, budget: float) -> str:
    """Says why it is not worth its cost; empty when it is."""
    minutes = reckoned_minutes(PromptSetting(setting))
    said = {"classes": len(setting.split.labels), "shots": setting.spec.compare.shots}
    return "" if minutes <= budget else TOO_LONG.format(minutes=minutes, budget=budget, **said)


def reckoned_minutes(asking: PromptSetting) -> float:
    """Returns roughly how long choosing, and answering valid and test, takes: by sizes alone, no clock plays a part."""
    setting, spec = asking.setting, asking.setting.spec.compare
    valid = len(setting.split.valid)
    chosen = min(valid, CHOICE_ROWS)
    first = asking.manners
    dearest = "retrieved" if spec.examples == "auto" else spec.examples
    each_first = [found for manner in first if (found := _minutes_each(asking, manner)) is not None]
    each = next((_minutes_each(asking, Manner(manner.template, dearest)) or 0.0 for manner in first), 0.0)
    found = sum(each_first) * chosen
    rounds = 2 * chosen if spec.examples == "auto" else 0
    return found + each * (rounds + valid + setting.test_rows)


def _minutes_each(asking: PromptSetting, manner: Manner) -> float | None:
    """Returns the minutes of one prompt by its size, nearest examples as long as any, and of the same without content.

    Of fixed examples that is asked once for all, which is next to nothing. None: it is too long to ask.
    """
    from kft.model.language import output_embedding
    from kft.model.work import estimated_minutes, multiply_adds

    setting, model = asking.setting, asking.model.model
    rows = setting.split.valid.take(np.arange(min(len(setting.split.valid), SAMPLE_ROWS)))
    prompter, any_shots = asking.prompter(manner.template), Manner(manner.template, "fixed")
    given = asking.shots_of(any_shots if manner.examples == "retrieved" else manner, rows)
    if manner.examples == "retrieved":  # in another order each, so that nothing is shared
        given = [[*shots[row % len(shots) :], *shots[: row % len(shots)]] for row, shots in enumerate(given)]
    try:
        prompts, _ = prompter.tokens_of(asking.lines(rows.inputs)[0], given)
        groups = [[prompt] for prompt in prompts]
        if manner.examples == "retrieved" and setting.spec.compare.calibrate != "never":
            without, _ = prompter.tokens_of([FREE_OF_CONTENT[0]] * len(prompts), given)
            groups = [[*group, other] for group, other in zip(groups, without, strict=True)]
    except ModelError:  # said where it is tried
        return None
    work = work_of(groups, prompter.label_tokens)
    embedding = output_embedding(model)
    adds = multiply_adds(model, 1) * work.tokens + embedding.input_dim * embedding.output_dim * work.logits
    return estimated_minutes(adds, 1) / len(prompts)


def fit(setting: Setting) -> Solution:
    """Chooses how to ask on rows of valid, then answers valid."""
    asking, spec = PromptSetting(setting), setting.spec.compare
    valid = setting.split.valid
    drawn = np.sort(np.random.default_rng(setting.spec.seed).permutation(len(valid))[:CHOICE_ROWS])
    _say(asking, len(drawn))
    manner, score, calibrated, tried = _choose(asking, drawn)
    answer = partial(_answers, asking, manner, score, calibrated)
    began = time.perf_counter()
    found = asking.score(manner, valid, free=calibrated)
    seconds = time.perf_counter() - began
    retrieved = manner.examples == "retrieved"
    if found.shortened:
        setting.progress.note(f"{'':<10} {found.shortened} of {len(valid)} prompts leave examples out to be read whole")
    other = setting.backbone_bytes if retrieved and asking.model is not setting.backbone else 0
    model = asking.model
    return Solution(
        answer=answer,
        of_valid=softmax(found.logits(score, calibrated)),
        trained=0,
        own_bytes=0,
        whole_bytes=4 * model.model.count_params() + other,
        on_examples=True,
        # What finds the examples is part of an answer; valid's own vectors were there already.
        seconds_each=max(seconds, 1e-9) / len(valid) + (setting.seconds_per_vector if retrieved else 0.0),
        frozen_rows=len(setting.split.train) + len(valid) if retrieved else 0,
        remembers=True,
        chosen={
            "language_model": model.name,
            "weights_hash": model.weights_hash,
            "template": manner.template.model_dump(),
            "examples": manner.examples,
            "shots": 0 if manner.examples == "none" else min(spec.shots, len(setting.split.train)),
            "score": score,
            "calibrated": calibrated,
            "label_words": dict(zip(setting.split.labels, asking.words, strict=True)),
            "tokens_a_row": round(found.work.tokens / len(valid), 1),
            "shortened": found.shortened,
            "chosen_on": len(drawn),
            "tried": tried,
        },
    )


def _say(asking: PromptSetting, rows: int) -> None:
    setting = asking.setting
    _, cut = asking.lines(setting.split.valid.inputs)
    over = f"; {cut} of valid's texts cut to {setting.spec.model.max_tokens} tokens" if cut else ""
    setting.progress.note(
        f"{'':<10} {asking.model.name}: {len(asking.manners)} templates, chosen on {rows} rows of valid; about "
        f"{max(1, round(reckoned_minutes(asking))):,} min by its size with {setting.test_rows:,} rows of test{over}"
    )


def _choose(asking: PromptSetting, drawn: np.ndarray) -> tuple[Manner, str, bool, list[dict[str, Any]]]:
    """Returns the best way to ask, by the deciding metric on rows of valid; of several alike the cheapest.

    Every template is tried with the cheapest examples that are allowed; the best of them with the others.
    """
    setting = asking.setting
    rows = setting.split.valid.take(drawn)
    metric, truth = setting.metric, setting.truth(rows)
    sign = 1 if metric.higher_is_better else -1
    tried: list[tuple[Manner, str, bool, float]] = []
    failed: list[ModelError] = []

    def attempt(manner: Manner) -> None:
        began = time.perf_counter()
        vectors = setting.seen_of(setting.split.valid).vectors[drawn] if manner.examples == "retrieved" else None
        try:
            found = list(variants(asking, manner, rows, vectors))
        except ModelError as error:
            failed.append(error)
            setting.progress.note(f"{'':<10} {manner.template.name} left out: {error.problem}")
            return
        tried.extend((manner, how, free, metric.value(truth, softmax(logits))) for how, free, logits in found)
        best = max((each for each in tried if each[0] == manner), key=lambda each: sign * each[3])
        setting.progress.note(
            f"{'':<10} {manner.template.name}, examples {manner.examples}: {metric.name} {best[3]:.3f} on "
            f"{len(rows)} rows, {time.perf_counter() - began:,.0f} s"
        )

    for manner in asking.manners:
        attempt(manner)
    if not tried:
        raise failed[0]
    best = max(tried, key=lambda each: sign * each[3])
    if setting.spec.compare.examples == "auto":
        for examples in ("fixed", "retrieved"):
            attempt(Manner(best[0].template, examples))
        best = max(tried, key=lambda each: sign * each[3])
    listed = [
        {"template": each.template.name, "examples": each.examples, "score": score, "calibrated": calibrated,
         metric.name: round(float(value), 4)}
        for each, score, calibrated, value in tried
    ]  # fmt: skip
    return best[0], best[1], best[2], listed


def variants(
    asking: PromptSetting, manner: Manner, rows: Examples, vectors: np.ndarray | None
) -> Iterator[tuple[str, bool, np.ndarray]]:
    """Yields what one pass over the prompts can be read as: sum or mean, calibrated or not, as the recipe allows."""
    spec = asking.setting.spec.compare
    found = asking.score(manner, rows, free=spec.calibrate != "never", vectors=vectors)
    scores = ("sum", "mean") if spec.score == "auto" else (spec.score,)
    if spec.score == "auto" and np.ptp(found.lengths) == 0:  # they differ by a factor, which the temperature settles
        scores = ("sum",)
    for calibrated in {"auto": (False, True), "always": (True,), "never": (False,)}[spec.calibrate]:
        for score in scores:
            yield score, calibrated, found.logits(score, calibrated)


def _answers(asking: PromptSetting, manner: Manner, score: str, calibrated: bool, examples: Examples) -> np.ndarray:
    return softmax(asking.score(manner, examples, free=calibrated).logits(score, calibrated))
