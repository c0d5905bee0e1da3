"""Recipes with their tasks: what a task can obey of a recipe, and what it fills in. Here recipes are loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kft.recipe.explain import Misfit
from kft.recipe.load import Recipe, Rules, read_recipe, schema_with
from kft.recipe.schema import NO_TURN, ONE_TURN, OWN, PLAIN_TEMPLATE, RecipeSpec
from kft.recipe.spec import Spec
from kft.recipe.values import EDGE_CASES
from kft.registry import nearest
from kft.tasks.label_names import why_no_names
from kft.tasks.registry import TASKS
from kft.tasks.task import OTHERS, Task
from kft.tasks.windows import MOST_TOKENS
from kft.tasks.written_recipes import find_unwritten

RETAINED = "forgetting.retained"
RUN_GATES = (RETAINED,)
"""What a gate can ask of a run of any task: where it stands in metrics.json."""


def load_recipe(
    source: str | Path | Mapping[str, Any], overrides: Sequence[str] = (), *, base: Path | None = None
) -> Recipe:
    """Reads and validates a recipe.

    Args:
        source: A YAML file, or a mapping with the same keys.
        overrides: Dotted settings such as ``"train.batch_size=16"``; they win over the file.
        base: Where relative paths start; default: the file's folder, or the current one for a mapping.

    Raises:
        RecipeError: Not readable as YAML, or not valid; lists every error with its line.
        UsageError: An override is not ``KEY=VALUE``.

    Example:
        >>> import kft
        >>> recipe = kft.load_recipe(
        ...     {"task": "text-classification", "data": {"train": "tickets.csv"}},
        ...     overrides=["train.batch_size=16"],
        ... )
        >>> recipe.spec.train.batch_size, recipe.origins["train.batch_size"]
        (16, 'override')
    """
    return read_recipe(source, overrides, base, Rules(known_names(), find_misfits, _filled_in))


def recipe_schema() -> dict[str, Any]:
    """Returns the JSON Schema of a recipe, for editors."""
    return schema_with(known_names())


def known_names() -> dict[str, tuple[str, ...]]:
    """Returns what a recipe can name as its task, a gate and a monitor, of all tasks together."""
    judged = [task.kind.judging for task in TASKS]
    metrics = [name for each in judged for name in each.metrics]
    return {
        "task": TASKS.names(),
        "gate": tuple(dict.fromkeys([*metrics, *(gate for each in judged for gate in each.gates), *RUN_GATES])),
        "monitor": tuple(dict.fromkeys(name for each in judged for name in each.monitors)),
    }


def find_misfits(spec: RecipeSpec) -> list[Misfit]:
    """Returns everything in a recipe that its task cannot obey, though it is valid by itself.

    Example:
        >>> from kft.recipe.schema import RecipeSpec
        >>> spec = RecipeSpec.model_validate(
        ...     {"task": "text-regression", "data": {"train": "a.csv"}, "train": {"class_weight": "balanced"}}
        ... )
        >>> where, text = find_misfits(spec)[0]
        >>> where, text.split("; ")[1]
        (('train', 'class_weight'), 'the task is text-regression')
    """
    task = TASKS.get(spec.task)
    return [
        *_metrics(spec, task),
        *_keys_of_other_tasks(spec, task),
        *_columns(spec, task),
        *_lora(spec),
        *_objectives(spec, task),
        *_pairs(spec, task),
        *_unlabelled(spec),
        *_taught(spec),
        *_forgetting(spec, task),
        *_refit(spec),
        *_in_int8(spec),
        *find_unwritten(spec, task),
        *_starts(spec),
    ]


def _filled_in(spec: RecipeSpec) -> RecipeSpec:
    """Fills in what the task settles, and how many parts a batch of long texts is worked through in.

    A run is chosen by its task's first metric, the cheaper first.
    """
    kind = TASKS.get(spec.task).kind
    named = spec.train.best is not None or kind.masks  # of hidden tokens the backbone is wanted, not the cheapest head
    filled: dict[str, Any] = {
        "best": spec.train.best or f"valid_{kind.judging.main.name}",
        "prefer": spec.train.prefer or ("best" if named else "cheaper"),
    }
    if "gradient_accumulation" not in spec.train.model_fields_set and all(
        phase.trains_head for phase in spec.train.phases or ()
    ):
        filled["gradient_accumulation"] = _parts(spec)
    spec = spec.model_copy(update={"train": spec.train.model_copy(update=filled)})
    if kind.masks:  # each epoch hides other tokens, so that what is frozen sees other texts
        features = spec.features.model_copy(update={"store": "off"})
        return spec.model_copy(update={"features": features})
    if spec.data.texts is not None:  # nothing is asked of them that an answer could be held against
        return spec.model_copy(
            update={
                "model": spec.model.model_copy(update={"turns": NO_TURN}),
                "evaluate": spec.evaluate.model_copy(update={"write": False}),
            }
        )
    if spec.data.messages is None:
        return spec
    chats = {
        "template": OWN if spec.model.template == PLAIN_TEMPLATE else spec.model.template,
        "turns": "all" if spec.model.turns == ONE_TURN else spec.model.turns,
    }
    return spec.model_copy(update={"model": spec.model.model_copy(update=chats)})


def _parts(spec: RecipeSpec) -> int:
    """Returns into how many parts a batch goes: 1, unless texts in windows would fill the memory with their tokens.

    Example:
        >>> from kft.recipe.schema import RecipeSpec
        >>> asked = {"task": "text-classification", "data": {"train": "a.csv"}, "model": {"long_text": "windows"}}
        >>> _parts(RecipeSpec.model_validate(asked))
        8
    """
    if not spec.model.in_windows:
        return 1
    tokens = spec.train.batch_size * spec.model.windows.most * spec.model.max_tokens
    return min(-(-tokens // MOST_TOKENS), spec.train.batch_size, 1024)


def _metrics(spec: RecipeSpec, task: Task) -> Iterable[Misfit]:
    judging = task.kind.judging
    gates = (*judging.metrics, *judging.gates, *RUN_GATES)
    others = [name for name in spec.evaluate.gates if not name.startswith(EDGE_CASES)]
    if spec.evaluate.suite is None:
        for gate in sorted(set(spec.evaluate.gates) - set(others)):
            yield ("evaluate", "gates", gate), "needs evaluate.suite, such as checks.yaml"
    if spec.evaluate.interval is None:
        for gate in sorted(name for name in others if name.startswith("interval.") and name in gates):
            yield ("evaluate", "gates", gate), "needs evaluate.interval, such as {coverage: 0.9}"
    wanted: list[tuple[Sequence[str | int], str | None, Sequence[str]]] = [
        (("train", "best"), spec.train.best, judging.monitors),
        *((("evaluate", "gates", name), name, gates) for name in others),
    ]
    if spec.train.early_stopping is not None:
        wanted.append((("train", "early_stopping", "monitor"), spec.train.early_stopping.monitor, judging.monitors))
    for location, name, known in wanted:
        if name is not None and name not in known:
            hint = nearest(name, known)
            text = f"{name} is not a metric of {spec.task}, which has {', '.join(known)}"
            yield location, text + (f"; did you mean {hint}?" if hint else "")


def _keys_of_other_tasks(spec: RecipeSpec, task: Task) -> Iterable[Misfit]:
    """Yields keys that are set and that this task does not obey, in the order of the schema."""
    others = {key for each in TASKS for key in each.keys} - set(task.keys)
    refused = dict.fromkeys(others, OTHERS) | task.refuses
    for _, is_set, key in sorted((*_looked_up(spec, key.split(".")), key) for key in refused):
        if is_set:
            obeying = [each.name for each in TASKS if key in each.keys and key not in each.refuses]
            yield tuple(key.split(".")), refused[key].format(task=task.name, tasks=", ".join(obeying))


def _looked_up(part: Spec, names: Sequence[str]) -> tuple[list[int], bool]:
    """Returns where in the schema a key stands, and whether it has another value than its default."""
    fields = type(part).model_fields
    place, value = list(fields).index(names[0]), getattr(part, names[0])
    if names[1:]:
        places, is_set = _looked_up(value, names[1:])
        return [place, *places], is_set
    return [place], value != fields[names[0]].get_default(call_default_factory=True)


def _columns(spec: RecipeSpec, task: Task) -> Iterable[Misfit]:
    if spec.data.label_columns and task.kind.labels.form not in ("class", "set"):
        able = ", ".join(each.name for each in TASKS if each.kind.labels.form in ("class", "set"))
        yield ("data", "label"), f"a list of columns is only for {able}; the task is {task.name}"
        return
    hold = spec.data.label_columns_hold
    if hold is not None and not spec.data.label_columns:
        yield ("data", "label_columns_hold"), "data.label names no list of columns"
    elif hold in ("shares", "votes") and task.kind.labels.form != "class":
        able = ", ".join(each.name for each in TASKS if each.kind.labels.form == "class")
        yield ("data", "label_columns_hold"), f"{hold} is only for {able}; the task is {task.name}"
    elif spec.data.label_columns and spec.data.bins is not None and hold != "votes":
        why = "data.label names one column a label: there are no ratings to turn into classes"
        yield ("data", "bins"), f"{why}; data.label_columns_hold: votes says that annotators gave ratings"


def _lora(spec: RecipeSpec) -> Iterable[Misfit]:
    adapters = [phase.unfreeze.lora for phase in spec.train.phases or () if phase.unfreeze.lora is not None]
    if len(set(adapters)) > 1:
        yield ("train", "phases"), "one model carries one kind of adapters: the same `lora` settings in every phase"


def _objectives(spec: RecipeSpec, task: Task) -> Iterable[Misfit]:
    """Yields what a phase's objective does not go with: the task, or another key."""
    phases = list(enumerate(spec.train.phases or ()))
    others = [(place, phase.objective) for place, phase in phases if not phase.trains_head]
    for place, asked in others:
        location = ("train", "phases", place, "objective")
        if asked.name not in task.kind.objectives:
            able = ", ".join(each.name for each in TASKS if asked.name in each.kind.objectives)
            yield location, OTHERS.format(tasks=able, task=f"{task.name}, whose answers are not one class of many")
        if asked.names and (why := why_no_names(task, ())):
            yield (*location, "names"), f"{why}; the task is {task.name}"
        if spec.train.batch_size < asked.smallest_batch:
            why = (
                f"two classes need {asked.smallest_batch} rows of a batch; train.batch_size is {spec.train.batch_size}"
            )
            yield (*location, "per_class"), why
    if others and spec.train.gradient_accumulation > 1:
        why = "objective contrastive compares all rows of a batch: it cannot be worked through in parts"
        yield ("train", "gradient_accumulation"), why
    if others and spec.train.label_smoothing and all(not p.trains_head or p.solver != "adamw" for _, p in phases):
        yield ("train", "label_smoothing"), "objective contrastive has no answers to smooth, and no phase has another"


def _pairs(spec: RecipeSpec, task: Task) -> Iterable[Misfit]:
    """Yields what heads of this kind are not solved by, and a batch that holds no two pairs."""
    for place, phase in enumerate(spec.train.phases or ()):
        if phase.solver not in task.kind.solvers:
            able = ", ".join(each.name for each in TASKS if phase.solver in each.kind.solvers)
            yield (
                ("train", "phases", place, "solver"),
                f"{phase.solver} is " + OTHERS.format(tasks=able, task=task.name),
            )
    texts = 2 + spec.train.pairs.hard_negatives + (spec.data.negative is not None)
    if task.kind.embeds and spec.train.batch_size < 2 * texts:
        why = f"a batch of {spec.train.batch_size} texts holds no two pairs of {texts} texts each"
        yield ("train", "batch_size"), f"{why}: {2 * texts} at least, and some hundreds are better"


def _unlabelled(spec: RecipeSpec) -> Iterable[Misfit]:
    """Yields why rows without labels would not be learned from, or not as they are asked for."""
    phases = spec.train.phases or ()
    asking = [(place, phase) for place, phase in enumerate(phases) if phase.unlabelled is not None]
    named, teacher = spec.data.unlabelled is not None, spec.train.teacher is not None
    tuned: dict[str, bool] = {}
    for phase in phases:  # each starts from the one before, unless it says otherwise
        before = tuned.get(phase.start or "", list(tuned.values())[-1] if tuned else False)
        tuned[phase.name] = phase.moves_backbone or before
    for place, phase in asking:
        location = ("train", "phases", place, "unlabelled")
        if not named:
            yield location, "needs data.unlabelled, such as data.unlabelled: more.csv"
        elif teacher:
            yield location, "train.teacher answers these rows already: leave one of the two out"
        elif place == 0:
            yield location, "the first phase has nothing to label rows by: let a probe or a blend come before it"
        elif phase.solver == "blend" and not tuned[phase.name]:
            yield location, f"{BLENDS} in an earlier phase, of which these labels come: use lbfgs or adamw"
    if named and not teacher and not asking and (phases or spec.model.weights == "random"):
        why = "random weights have no default phase that does" if not phases else "no phase has `unlabelled: confident`"
        yield ("data", "unlabelled"), f"nothing would learn from it: {why}, and there is no train.teacher"
    if named and spec.data.keep_together == "similar":
        why = "similar compares rows of one class, and rows without labels have none: use keep_together: copies"
        yield ("data", "keep_together"), f"{why}, or leave data.unlabelled out"
    if teacher:
        for place, phase in enumerate(phases):
            if phase.solver == "blend" and not tuned[phase.name]:
                location = ("train", "phases", place, "solver")
                yield location, f"{BLENDS} by train.teacher: use lbfgs, or a blend on a tuned phase"


BLENDS = "a blend weighs its views on labels that none of them has seen, and these were seen"


def _taught(spec: RecipeSpec) -> Iterable[Misfit]:
    """Yields what a teacher leaves nothing to do for."""
    asked = spec.train.teacher
    if asked is not None and not asked.weight and spec.data.unlabelled is None:
        location = ("train", "teacher", "weight")
        yield location, "0 lets labels alone count, and there is no data.unlabelled: leave train.teacher out"


def _refit(spec: RecipeSpec) -> Iterable[Misfit]:
    """Yields what training again on train and valid cannot be put together with."""
    if not spec.train.refit:
        return
    if spec.train.teacher is not None or spec.data.unlabelled is not None:
        why = (
            "rows of valid have labels alone, and no teacher's answers"
            if spec.train.teacher is not None
            else ("labels of rows without one come from what the run had kept by then")
        )
        yield ("train", "refit"), f"{why}: leave one of the two out"
    if spec.evaluate.out_of_scope is not None:
        why = "out_of_scope is fitted on vectors of valid, and after a refit the model has learned from these rows"
        yield ("train", "refit"), f"{why}: leave one of the two out"
    for phase in spec.train.phases or ():
        if not phase.trains_head:
            why = (
                f"phase {phase.name} has objective {phase.objective.name}, whose head is solved anew by what valid says"
            )
            yield ("train", "refit"), f"{why}: it cannot be repeated without valid"


def _in_int8(spec: RecipeSpec) -> Iterable[Misfit]:
    """Yields what frozen blocks in 8-bit products cannot be put together with."""
    if not spec.features.in_int8:
        return
    location = ("features", "precision")
    if spec.model.weights == "random":
        yield location, "int8 is for frozen blocks, and with random weights all blocks train: use float32"
    if spec.model.in_windows:
        yield location, "int8 has not been measured on windows (model.long_text): use float32"
    if spec.train.precision != "float32":
        yield location, f"int8 takes the place of train.precision {spec.train.precision}: leave one of the two out"
    if spec.data.unlabelled is not None and spec.train.teacher is None:
        yield location, "rows without labels are learned from by blocks that train, and int8 freezes all: use float32"
    for place, phase in enumerate(spec.train.phases or ()):
        if phase.moves_backbone or phase.unlabelled is not None:
            what = f"trains {phase.unfreeze}" if phase.moves_backbone else "labels rows by the run's own answers"
            why = f"{what}, in float32, which features.precision int8 leaves out: use a probe or a blend"
            yield ("train", "phases", place), f"{why}, or --set features.precision=float32"


def _starts(spec: RecipeSpec) -> Iterable[Misfit]:
    """Yields what weights of another run do not go with."""
    if spec.model.start_from is not None and spec.model.weights == "random":
        yield ("model", "start_from"), "random weights are drawn anew: leave one of the two out"


def _forgetting(spec: RecipeSpec, task: Task) -> Iterable[Misfit]:
    if RETAINED not in spec.evaluate.gates:
        return
    location = ("evaluate", "gates", RETAINED)
    if spec.model.weights == "random":
        yield location, "the weights are random: nothing was learned before that could be forgotten"
    elif spec.evaluate.retain.data == "none":
        yield location, "evaluate.retain is none, so that forgetting is not measured"
    elif spec.evaluate.retain.data == "auto" and task.reads.no_general:
        yield location, f"{task.reads.no_general}: name some in evaluate.retain, such as {{data: FOLDER, label: label}}"
