"""Keys that are valid by themselves and do not fit the recipe's task: found before anything is read or computed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kft.recipe.schema import RecipeSpec
from kft.recipe.values import CLASS_GATES, EDGE_CASES, RUN_GATES, TASK_METRICS
from kft.registry import nearest

Misfit = tuple[Sequence[str | int], str]
"""Where in the recipe, and what is wrong there."""

ONE_CLASS_OF_MANY = ("text-classification", "text-pairs", "image-classification")

WHOLE_TEXTS = ("text-classification", "text-multi-label", "text-pairs", "text-regression")
"""Tagging is none of them: its spans count the characters of the text as it stands."""


def find_misfits(spec: RecipeSpec) -> list[Misfit]:
    """Returns everything in a recipe that its task cannot obey.

    Example:
        >>> from kft.recipe.schema import RecipeSpec
        >>> spec = RecipeSpec.model_validate(
        ...     {"task": "text-regression", "data": {"train": "a.csv"}, "train": {"class_weight": "balanced"}}
        ... )
        >>> where, text = find_misfits(spec)[0]
        >>> where, text.split("; ")[1]
        (('train', 'class_weight'), 'the task is text-regression')
    """
    return [*_metrics(spec), *_keys_of_other_tasks(spec), *_lora(spec), *_forgetting(spec)]


def _metrics(spec: RecipeSpec) -> Iterable[Misfit]:
    metrics = TASK_METRICS[spec.task]
    monitors = ("valid_loss", *(f"valid_{name}" for name in metrics))
    gates = (*metrics, *(CLASS_GATES if spec.task in ONE_CLASS_OF_MANY else ()), *RUN_GATES)
    others = [name for name in spec.evaluate.gates if not name.startswith(EDGE_CASES)]
    if spec.evaluate.suite is None:
        for gate in sorted(set(spec.evaluate.gates) - set(others)):
            yield ("evaluate", "gates", gate), "needs evaluate.suite, such as checks.yaml"
    wanted: list[tuple[Sequence[str | int], str | None, Sequence[str]]] = [
        (("train", "best"), spec.train.best, monitors),
        *((("evaluate", "gates", name), name, gates) for name in others),
    ]
    if spec.train.early_stopping is not None:
        wanted.append((("train", "early_stopping", "monitor"), spec.train.early_stopping.monitor, monitors))
    for location, name, known in wanted:
        if name is not None and name not in known:
            hint = nearest(name, known)
            text = f"{name} is no metric of {spec.task}, which has {', '.join(known)}"
            yield location, text + (f"; did you mean {hint}?" if hint else "")


def _keys_of_other_tasks(spec: RecipeSpec) -> Iterable[Misfit]:
    data, train, task = spec.data, spec.train, spec.task
    images = task.startswith("image-")
    several = ("text-multi-label", "image-multi-label")
    photos = ("image-classification", "image-multi-label")
    rules = (
        (("data", "text_pair"), data.text_pair, ("text-pairs",)),
        (("data", "label_separator"), data.label_separator, several),
        (("data", "bins"), data.bins, ONE_CLASS_OF_MANY),
        (("data", "html"), data.html != "keep", WHOLE_TEXTS),
        (("data", "image"), data.image, photos),
        (("model", "image", "size"), spec.model.image.size, photos),
        (("train", "augment"), train.augment, photos),
        (("train", "class_weight"), train.class_weight != "none", ONE_CLASS_OF_MANY),
        (("train", "label_smoothing"), train.label_smoothing, ONE_CLASS_OF_MANY),
        (("evaluate", "suite"), spec.evaluate.suite, ONE_CLASS_OF_MANY),
        (("evaluate", "abstain_at"), spec.evaluate.abstain_at, ONE_CLASS_OF_MANY),
        (("evaluate", "threshold"), spec.evaluate.threshold, ONE_CLASS_OF_MANY),
        (("evaluate", "out_of_scope"), spec.evaluate.out_of_scope, ONE_CLASS_OF_MANY),
    )
    for location, value, tasks in rules:
        if value and task not in tasks:
            yield location, f"only for {', '.join(tasks)}; the task is {task}"
    if images and data.text is not None:
        yield ("data", "text"), f"{task} reads images: data.image names the column of their paths"
    if data.redact and task == "token-tagging":
        yield (
            ("data", "redact"),
            "a placeholder would move the labelled spans: redact the texts before they are labelled",
        )
    if data.redact and images:
        yield ("data", "redact"), f"only texts are searched for personal data; {task} reads images"
    if task == "token-tagging" and spec.model.pooling != "auto":
        yield ("model", "pooling"), "token-tagging answers for each token, so nothing is pooled"


def _lora(spec: RecipeSpec) -> Iterable[Misfit]:
    adapters = [phase.unfreeze.lora for phase in spec.train.phases or () if phase.unfreeze.lora is not None]
    if len(set(adapters)) > 1:
        yield ("train", "phases"), "one model carries one kind of adapters: the same `lora` settings in every phase"


def _forgetting(spec: RecipeSpec) -> Iterable[Misfit]:
    if "forgetting.retained" not in spec.evaluate.gates:
        return
    location = ("evaluate", "gates", "forgetting.retained")
    if spec.model.weights == "random":
        yield location, "the weights are random: nothing was learned before that could be forgotten"
    elif spec.evaluate.retain.data == "none":
        yield location, "evaluate.retain is none, so that forgetting is not measured"
    elif spec.evaluate.retain.data == "auto" and spec.task.startswith("image-"):
        yield location, "no photos ship with kft: name some in evaluate.retain, such as {data: FOLDER, label: label}"
