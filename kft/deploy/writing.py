"""Opens what writes: a run, what was exported of one, or several sets of adapters on one base."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.answer.decide import Decisions
from kft.answer.load import artifact_of_weights, load_artifact, read_run
from kft.answer.write import GREEDY, Completion, SamplingParams, Writer, make_writer, writer_on
from kft.data.inputs import as_inputs
from kft.deploy.formats.language import ADAPTERS, LANGUAGE_FORMATS
from kft.deploy.lookup import artifact_of
from kft.errors import UsageError
from kft.recipe.load import Recipe
from kft.recipe.schema import NO_TURN, ONE_TURN, RecipeSpec
from kft.recipe.training import ADAPTED, LoraSpec
from kft.records.document import parse, plain
from kft.records.files import write_file
from kft.records.receipt import Receipt
from kft.records.rules import Promise, Rule
from kft.records.run_folder import open_run
from kft.records.shipped import About, read_about
from kft.tasks.dialogues import as_question
from kft.tasks.recipes import load_recipe
from kft.tasks.registry import TASKS
from kft.tasks.task import Task

if TYPE_CHECKING:
    import keras

    from kft.answer.artifact import Artifact
    from kft.model.adapters import AdapterSet
    from kft.model.prompts import PromptReader

Prompt = str | Sequence[Mapping[str, Any]]
"""A text, or the messages of a chat: ``{"role": "user", "content": "..."}``, the last one the user's."""
PLAIN = (ONE_TURN, NO_TURN)
"""What was learned from other than chats."""
SETTINGS = "settings.json"
"""What of a run's recipe decides how its model reads and writes."""
PROMISE = "promise"
"""The key of it that says which answers are withheld."""
HERE = "."
"""The base of what holds all weights itself."""
WHOLE = {"backbone": HERE, "weights": "pretrained", "blocks": None, "start_from": None, "quantize": "none"}
"""What such a model is read by, whatever it was made from."""
MADE_BY = ("blocks", "weights", "start_from", "quantize")
"""Keys of the recipe's model part that say what becomes of a backbone."""
READ_BY = ("text", "label", "messages", "texts", "context", "passages")
"""Keys of the recipe's data part that say what a prompt is."""
BASE_TEMPLATE = "{prompt}"
CONTEXT = "passages"
"""The column of passages of what was trained with an index, which stays where it is."""


@dataclass(eq=False)
class DecoderTurn:
    """A decoder in memory, that one request at a time computes with.

    Attributes:
        model: That has room for adapters; None where it has one set for good.
        worn: Whose adapters it holds.
        lock: Of whoever computes.
    """

    model: keras.Model | None = None
    worn: str | None = None
    lock: Any = field(default_factory=threading.Lock)

    def wear(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Puts a set of adapters in place, where another one is there; called by whoever holds the lock."""
        from kft.model.adapters import put

        if self.model is not None and self.worn != name:
            self.worn = None  # a half of each is nobody's, should this fail
            put(self.model, arrays)
            self.worn = name


@dataclass(frozen=True, eq=False)
class Writing:
    """A model that writes, loaded and traced. Several threads may ask it; one answer is written at a time.

    Attributes:
        name: What it is called.
        version: Of its weights.
        task: What it was tuned to.
        spec: The recipe it was trained by.
        writer: Of one prompt at a time.
        turn: Of the decoder, that others may share.
        adapters: What it puts there.
        recipe: Of a run; None of an artifact.
    """

    name: str
    version: str
    task: Task
    spec: RecipeSpec
    writer: Writer
    turn: DecoderTurn = field(default_factory=DecoderTurn)
    adapters: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)
    recipe: Recipe | None = None

    def read(self, prompt: Prompt) -> str:
        """Returns a prompt as the model reads it; see ``as_read``.

        Raises:
            DataError: The prompt is empty, or is no chat that waits for an answer.
            UsageError: It is a chat, and the model was tuned on prompts.
        """
        if isinstance(prompt, str):
            (prompt,) = map(str, as_inputs(prompt, self.task, self.spec.data))
        return as_read(self.writer.reader, prompt)

    def stream(self, prompt: Prompt, asking: SamplingParams = GREEDY) -> Iterator[str | Completion]:
        """Yields the pieces of an answer as they are written, and then the answer; see ``read``."""
        read = self.read(prompt)
        with self.turn.lock:
            self.turn.wear(self.name, self.adapters)
            yield from self.writer.stream(read, asking)

    def count(self, prompt: Prompt) -> tuple[int, int]:
        """Returns how many tokens of a prompt in its template are read, and how many would be cut; see ``read``."""
        (ids,), (cut,) = self.writer.reader.prompts([self.read(prompt)])
        return len(ids), int(cut)


def as_read(reader: PromptReader, prompt: Prompt) -> str:
    """Returns a prompt as a model reads it: a text, or a chat where it was tuned on chats.

    Raises:
        DataError: It is no chat that waits for an answer.
        UsageError: It is a chat, and the model was tuned on prompts.
    """
    if reader.turns not in PLAIN:
        return as_question(prompt)
    if not isinstance(prompt, str):
        raise UsageError(
            "this run was tuned on prompts, and this is a chat",
            received=repr(prompt)[:80],
            expected="a text",
            next_step="tune on chats: data.messages in the recipe",
        )
    return prompt


def write_settings(folder: Path, recipe: Recipe, rule: Rule | None, *, alone: bool) -> None:
    """Writes what a model reads and writes by; of the data no path.

    Args:
        folder: Of a new artifact.
        recipe: Of the run.
        rule: By which it withholds answers; None where it gives all.
        alone: Whether its base lies elsewhere: where the recipe says; else it is the folder.
    """
    spec = recipe.spec
    model = spec.model.model_dump(mode="json")
    phases = [phase.model_dump(mode="json") for phase in spec.train.phases or ADAPTED]
    data = {key: getattr(spec.data, key) for key in READ_BY}
    data["context"] = CONTEXT if spec.data.index else spec.data.context
    values = {
        "name": recipe.name,
        "task": spec.task,
        "seed": spec.seed,
        "data": {"train": "rows", **data},
        "model": model if alone else {**model, **WHOLE},
        "train": {"phases": phases, "precision": spec.train.precision},
        PROMISE: plain(rule),
    }
    write_file(folder / SETTINGS, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def read_settings(folder: Path) -> RecipeSpec:
    """Returns what an artifact reads and writes by.

    Raises:
        RecipeError: It was written by a newer kft, or names a base that is not here.
    """
    values = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    values.pop(PROMISE, None)
    spec = load_recipe(values, base=folder).spec
    if spec.model.backbone != HERE:
        return spec
    return spec.model_copy(update={"model": spec.model.model_copy(update={"backbone": str(folder.resolve())})})


def read_rule(folder: Path) -> Promise | None:
    """Returns by which rule an artifact withholds answers; None where it gives all, as one of an earlier kft does.

    Raises:
        RunError: The file is damaged.
    """
    path = folder / SETTINGS
    found = json.loads(path.read_text(encoding="utf-8")).get(PROMISE)
    return None if found is None else parse(Promise, json.dumps(found), path)


def open_shipped(folder: Path, about: About | None = None) -> Artifact:
    """Opens a language model that was exported.

    Args:
        folder: From ``kft export``.
        about: Its artifact.json, where somebody has read it and compared all files with it.

    Raises:
        RunError: The folder is no such artifact, or was changed.
        ModelError: Adapters are opened where their base is another one.
    """
    about = about or read_about(folder)
    if about.format not in LANGUAGE_FORMATS.names():
        raise UsageError(
            "this artifact writes no texts",
            where=str(folder),
            received=f"{about.task}, format {about.format}",
            expected="what was exported of a run of causal-lm",
            next_step=f'kft predict {folder} "a text"',
        )
    spec = read_settings(folder)
    alone = LANGUAGE_FORMATS.get(about.format).alone
    artifact = artifact_of_weights(spec, about.receipt if alone else None, _adapters(folder) if alone else {})
    return replace(artifact, decisions=Decisions(rule=read_rule(folder)))


def _adapters(folder: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(folder / ADAPTERS)


def open_writing(place: str | Path, name: str = "") -> Writing:
    """Opens a run or an artifact that writes.

    Args:
        place: The run's folder, an artifact's, or a name on a shelf.
        name: What it is to be called; empty: as its recipe says.

    Raises:
        RunError: The folder is neither, or damaged.
        UsageError: It writes no texts.
        ModelError: The backbone on disk is not the one the run was trained from.
    """
    folder, recipe = artifact_of(place), None
    if folder is not None:
        about = read_about(folder)
        artifact = open_shipped(folder, about)
        named, version = about.name, about.version
    else:
        run = read_run(open_run(Path(place)))
        if not run.task.kind.writes:
            raise UsageError(
                "this run writes no texts",
                where=str(place),
                received=run.task.name,
                expected="a run of causal-lm",
                next_step=f"kft predict {place} {run.task.reads.in_shell}",
            )
        artifact = load_artifact(run)
        named, version, recipe = run.recipe.name, artifact.checkpoint[:12], run.recipe
    task = TASKS.get(artifact.spec.task)
    return Writing(name or named, version, task, artifact.spec, make_writer(artifact), recipe=recipe)


@dataclass(frozen=True)
class _Trained:
    """What adapters were trained as.

    Attributes:
        place: Where they lie.
        version: Of them.
        spec: The recipe.
        receipt: Of the run.
        learned: Them.
    """

    place: str
    version: str
    spec: RecipeSpec
    receipt: Receipt
    learned: AdapterSet


def open_adapters(base: str, places: Mapping[str, str], name: str = "") -> list[Writing]:
    """Opens several sets of adapters on one base, which is in memory once; the base alone writes under its own name.

    Args:
        base: The backbone that all of them were trained on: a name from ``kft models``, or a folder.
        places: Runs or artifacts of adapters, by what each is to be called.
        name: What the base alone is to be called; empty: its own name, of a folder the last part.

    Raises:
        UsageError: One has the name of the base, has more than adapters, or computes otherwise than the first.
        ModelError: One was trained on another base.
    """
    from kft.model.adapters import fitted, make_room
    from kft.model.encode import make_reader
    from kft.model.language import with_targets
    from kft.train.resume import require_same_backbone
    from kft.train.start import load_for

    own = name or Path(base).name
    if own in places:
        raise UsageError(
            "a set of adapters has the name of the base",
            where=f"--adapter {own}={places[own]}",
            expected="another name: the base alone answers under its own",
            next_step=f"--adapter my-{own}={places[own]}",
        )
    known = {name: _trained(place) for name, place in places.items()}
    first = next(iter(known.values()))
    for each in known.values():
        _require_alike(first, each)
    spec = first.spec.model_copy(update={"model": first.spec.model.model_copy(update={"backbone": base})})
    backbone = load_for(spec)
    for name, each in known.items():
        require_same_backbone(backbone.files, each.receipt, f"{base}, for the adapters {name} of {each.place}")
    graph = with_targets(backbone)
    make_room(graph, [each.learned for each in known.values()])
    tasks = {name: TASKS.get(each.spec.task) for name, each in known.items()}
    readers: dict[str, Any] = {
        name: make_reader(tasks[name], backbone, each.spec.model).writing for name, each in known.items()
    }
    room = {key: max(getattr(each, key) for each in readers.values()) for key in ("prompt_tokens", "response_tokens")}
    most = replace(next(iter(readers.values())), **room)
    writer = writer_on(backbone.model, {}, most)
    turn = DecoderTurn(graph)
    found = [
        Writing(
            name,
            each.version,
            tasks[name],
            each.spec,
            replace(writer, reader=readers[name]),
            turn,
            fitted(graph, each.learned),
        )
        for name, each in known.items()
    ]
    bare = replace(writer, reader=replace(most, template=BASE_TEMPLATE, chat=None, turns=ONE_TURN, choices=()))
    nothing = spec.data.model_copy(update={"context": None, "index": None})
    alone = spec.model_copy(update={"data": nothing})
    plain = Writing(own, backbone.weights_hash[:12], found[0].task, alone, bare, turn, fitted(graph, None))
    return [*found, plain]


def _trained(place: str) -> _Trained:
    """Reads adapters, without their base."""
    from kft.model.adapters import AdapterSet
    from kft.train.checkpoint import load_checkpoint

    folder = artifact_of(place)
    if folder is not None:
        about = read_about(folder)
        if about.format != "adapters":
            raise _no_adapters(place, f"an artifact of the format {about.format}")
        spec, receipt, version, arrays = read_settings(folder), about.receipt, about.version, _adapters(folder)
    else:
        run = read_run(open_run(Path(place)))
        spec, receipt = run.recipe.spec, run.receipt
        rules = [str(phase.unfreeze) for phase in spec.train.phases or ADAPTED if phase.unfreeze.lora is None]
        if not run.task.kind.writes or rules:
            raise _no_adapters(place, ", ".join(rules) or run.task.name)
        best = load_checkpoint(run.folder.checkpoints, "best")
        arrays, version = dict(best.weights), best.digest[:12]
    return _Trained(place, version, spec, receipt, AdapterSet(_lora_of(spec), arrays))


def _lora_of(spec: RecipeSpec) -> LoraSpec:
    found = next(phase.unfreeze.lora for phase in spec.train.phases or ADAPTED if phase.unfreeze.lora is not None)
    assert found is not None
    return found


def _no_adapters(place: str, received: str) -> UsageError:
    return UsageError(
        "this is no set of adapters alone, so it cannot share a base with others",
        where=f"--adapter {place}",
        received=received,
        expected="a run of causal-lm whose phases all train adapters, or one exported with --format adapters",
        next_step=f"kft serve {place}, by itself",
    )


def _require_alike(first: _Trained, other: _Trained) -> None:
    """Refuses adapters for which the base would have to compute in another way."""
    for key, one, two in (
        ("train.precision", first.spec.train.precision, other.spec.train.precision),
        *((f"model.{key}", getattr(first.spec.model, key), getattr(other.spec.model, key)) for key in MADE_BY),
    ):
        if one != two:
            raise UsageError(
                "two sets of adapters want one base to compute in two ways",
                where=f"{key} of {other.place}",
                received=str(two),
                expected=f"{one}, as {first.place} has it",
                next_step="serve them apart",
            )
