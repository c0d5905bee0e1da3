"""Reads a recipe: YAML, overrides, validation with every error at once, and where each value came from."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from kft.errors import RecipeError, UsageError, require_plain
from kft.notebook import Piece, Verbatim, shows
from kft.recipe.explain import Misfit, explain_errors, recipe_error
from kft.recipe.limits import TooMuch, acting_texts
from kft.recipe.schema import RecipeSpec
from kft.recipe.sources import absolute_source
from kft.recipe.values import NAMES
from kft.recipe.yaml_file import as_plain, parse_yaml, read_yaml

SOURCE_KEYS = ("train", "valid", "test", "unlabelled", "documents")
"""Keys of ``data`` that name sources; the last two may be left out."""


LATER_KEYS: dict[str, Any] = {
    "data.added": [],
    "data.context": None,
    "data.index": None,
    "data.passages": 3,
    "model.context_template": "{context}\n\n{prompt}",
    "model.context_tokens": None,
    "data.new_labels": False,
    "train.warm_start": None,
    "train.optimizer": "adamw",
    "train.precision": "float32",
    "train.compile": "auto",
    "features.precision": "float32",
    "data.document": None,
    "model.long_text": "cut",
    "model.windows.overlap": None,
    "model.windows.most": 32,
    "model.windows.pooling": "mean",
    "data.documents": None,
    "data.negative": None,
    "model.prompts.query": "",
    "model.prompts.document": "",
    "train.pairs.temperature": 0.05,
    "train.pairs.hard_negatives": 0,
    "train.pairs.widths": [],
    "train.graded.loss": "cosent",
    "train.graded.scale": 20.0,
    "evaluate.interval": None,
    "model.template": "{prompt}\n",
    "model.response_tokens": None,
    "model.choices": [],
    "model.quantize": "none",
    "evaluate.write": True,
    "data.messages": None,
    "data.texts": None,
    "model.start_from": None,
    "model.turns": "one",
}
"""Keys that came after 0.1, with what was done before: a run that was begun without them is the same run."""
WITHOUT_EFFECT = {"train.steps_per_call": 1}
"""Keys that change no result, with what stands for any value of theirs where runs are compared: the default of 0.1."""


@shows
@dataclass(frozen=True)
class Recipe:
    """A validated recipe.

    Attributes:
        spec: What the person asks for, defaults filled in.
        origins: For each dotted key, ``default``, ``file`` or ``override``.
        name: Names the run folder.
        base: The folder that relative paths in the recipe start from.
        path: The file, or None when Python passed a mapping.
    """

    spec: RecipeSpec
    origins: Mapping[str, str]
    name: str
    base: Path
    path: Path | None = None

    def with_values(self, section: str, values: Mapping[str, Any]) -> Recipe:
        """Returns the recipe with some values of one part replaced, as a path made absolute; origins stay."""
        part = getattr(self.spec, section).model_copy(update=dict(values))
        return replace(self, spec=self.spec.model_copy(update={section: part}))

    def as_yaml(self) -> str:
        """Returns the resolved recipe, sources made absolute, each value followed by its origin."""
        return _with_origins(self._resolved(), self.origins)

    def differences(self, other: Recipe) -> list[str]:
        """Returns one line for each value that another recipe has otherwise."""
        here, there = self.comparable(), other.comparable()
        keys = sorted(key for key in here | there if here.get(key) != there.get(key))
        then, now = ({**LATER_KEYS, **values} for values in (there, here))
        return [f"{key}: {then.get(key)} then, {now.get(key)} now" for key in keys]

    def comparable(self) -> dict[str, Any]:
        """Returns the values that decide a result, by dotted key.

        Where checkpoints go, what may ship and how a comparison prompts do not.
        """
        flat = _flat(self._resolved()) | WITHOUT_EFFECT
        return {
            key: value
            for key, value in flat.items()
            if not key.startswith(("train.checkpoints.", "export.", "compare.")) and LATER_KEYS.get(key) != value
        }

    def _resolved(self) -> dict[str, Any]:
        values = self.spec.model_dump(mode="json")
        values["name"] = self.name
        for key in SOURCE_KEYS:
            if values["data"][key] is not None:
                values["data"][key] = absolute_source(values["data"][key], self.base)
        values["data"]["added"] = absolute_source(values["data"]["added"], self.base)
        if values["data"]["index"] is not None:
            values["data"]["index"] = str((self.base / Path(values["data"]["index"]).expanduser()).resolve())
        values["train"]["checkpoints"]["folder"] = self.checkpoints_folder
        values["evaluate"]["suite"] = None if self.suite is None else str(self.suite)
        if self.teacher is not None:
            values["train"]["teacher"]["run"] = str(self.teacher)
        return values

    @property
    def teacher(self) -> Path | None:
        """``train.teacher.run``, such that it means the same from any folder."""
        named = self.spec.train.teacher
        return None if named is None else (self.base / Path(named.run).expanduser()).resolve()

    @property
    def suite(self) -> Path | None:
        """``evaluate.suite``, such that it means the same from any folder."""
        named = self.spec.evaluate.suite
        return None if named is None else (self.base / Path(named).expanduser()).resolve()

    @property
    def checkpoints_folder(self) -> str | None:
        """``train.checkpoints.folder``, such that it means the same from any folder."""
        named = self.spec.train.checkpoints.folder
        if named is None or "://" in named:
            return named
        return str((self.base / Path(named).expanduser()).resolve())

    def shown(self) -> Iterator[Piece]:
        yield Verbatim(self.as_yaml())


@dataclass(frozen=True)
class Rules:
    """What later rooms know of recipes.

    Attributes:
        names: What a recipe can name as its ``task``, a ``gate`` and a ``monitor``.
        misfits: Everything in a recipe that is valid by itself and does not fit its task.
        fill: The recipe with what its task settles.
    """

    names: Mapping[str, Sequence[str]]
    misfits: Callable[[RecipeSpec], Sequence[Misfit]]
    fill: Callable[[RecipeSpec], RecipeSpec]


def read_recipe(
    source: str | Path | Mapping[str, Any], overrides: Sequence[str], base: Path | None, rules: Rules
) -> Recipe:
    """Reads and validates a recipe; see ``kft.load_recipe``."""
    if isinstance(source, Mapping):
        path, raw, where = None, _from_python(source), "recipe"
    else:
        path = Path(source)
        raw, where = read_yaml(path), str(source)
    origins = dict.fromkeys(_leaf_keys(raw), "file")
    lines = raw if isinstance(raw, CommentedMap) else None
    values = as_plain(raw)
    for override in overrides:
        key = _apply_override(values, override)
        origins = {known: origin for known, origin in origins.items() if not known.startswith(key + ".")}
        origins[key] = "override"
    acting = acting_texts(values)
    if acting:
        raise recipe_error(acting, lines, where)
    try:
        spec = RecipeSpec.model_validate(values, context=rules.names)
    except ValidationError as error:
        raise explain_errors(error, lines, where) from None
    misfits = rules.misfits(spec)
    if misfits:
        raise recipe_error(misfits, lines, where)
    if base:
        require_plain(str(base), "base", UsageError)
    base = (base or (path.parent if path else Path.cwd())).resolve()
    spec = _with_runs(_with_retain(rules.fill(spec), base), base)
    for key in _leaf_keys(spec.model_dump(mode="json")):
        if not any(parent in origins for parent in _parents(key)):  # a part that was given whole is its parent's
            origins.setdefault(key, "default")
    return Recipe(
        spec=spec,
        origins=origins,
        name=spec.name or (re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._") if path else "recipe") or "recipe",
        base=base,
        path=path,
    )


def _from_python(source: Mapping[str, Any]) -> Any:
    try:
        return json.loads(json.dumps(dict(source), default=str))
    except (ValueError, RecursionError, TypeError) as error:
        raise RecipeError(
            "the recipe cannot be read",
            where="recipe",
            received=str(error).splitlines()[0],
            expected="plain values, of which none holds itself",
        ) from None


def _with_retain(spec: RecipeSpec, base: Path) -> RecipeSpec:
    """Names the retain set such that it means the same from any folder."""
    retain = spec.evaluate.retain
    if not retain.named:
        return spec
    retain = retain.model_copy(update={"data": absolute_source(retain.data, base)})
    return spec.model_copy(update={"evaluate": spec.evaluate.model_copy(update={"retain": retain})})


def _with_runs(spec: RecipeSpec, base: Path) -> RecipeSpec:
    """Names the runs that weights come from such that they mean the same from any folder."""
    for section, key in (("train", "warm_start"), ("model", "start_from")):
        part = getattr(spec, section)
        if (named := getattr(part, key)) is not None:
            run = str((base / Path(named).expanduser()).resolve())
            spec = spec.model_copy(update={section: part.model_copy(update={key: run})})
    return spec


def schema_with(names: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Returns the JSON Schema of a recipe, for editors, with what ``Rules.names`` says."""

    def filled(part: Any) -> Any:
        if isinstance(part, list):
            return [filled(each) for each in part]
        if not isinstance(part, dict):
            return part
        known = {"enum": list(names[part[NAMES]])} if NAMES in part else {}
        return {key: filled(value) for key, value in part.items() if key != NAMES} | known

    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **RecipeSpec.model_json_schema()}
    return filled(schema)


def _leaf_keys(values: Any, prefix: str = "") -> list[str]:
    """Returns the dotted key of every value; a list, and what follows it, counts as one value."""
    if isinstance(values, Mapping) and (values or not prefix):
        return [key for name, value in values.items() for key in _leaf_keys(value, f"{prefix}{name}.")]
    return [prefix.rstrip(".")]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        nested = isinstance(value, Mapping) and value
        found |= _flat(value, f"{prefix}{name}.") if nested else {prefix + name: value}
    return found


def _apply_override(values: Any, override: str) -> str:
    key, equals, text = override.partition("=")
    # YAML would make a space of a line break, and so another path; within brackets it is only layout.
    require_plain(override, "--set", UsageError, allowed="\n\t" if text.strip().startswith(("[", "{")) else "\t")
    parts = [part for part in re.split(r"\.|\[([0-9]{1,6})\]", key.strip()) if part]
    if not equals or not parts:
        raise UsageError(
            "a setting has the form KEY=VALUE",
            where="--set",
            received=override,
            expected="for example --set train.batch_size=16",
        )
    try:
        value = as_plain(parse_yaml(text)) if text.strip() else ""
    except TooMuch as error:
        raise UsageError(
            "a setting is larger than any that kft reads", where=f"--set {key}", received=str(error), expected="less"
        ) from None
    except YAMLError:
        value = text
    target = values
    named: list[str] = []  # up to the first list, whose entries have no origin of their own
    in_list = False
    for part, following in pairwise(parts):
        in_list = in_list or isinstance(target, list)
        named += [] if in_list else [part]
        if isinstance(target, list):
            if not part.isdecimal() or int(part) >= len(target):
                raise UsageError(
                    f"no entry {part} in the list",
                    where=f"--set {key}",
                    received=part,
                    expected=f"0 to {len(target) - 1}" if target else "a list with entries; this one is empty",
                )
            target = target[int(part)]
            continue
        if not isinstance(target.get(part), (dict, list)):
            target[part] = [] if following.isdecimal() else {}
        target = target[part]
    if isinstance(target, list):
        if not parts[-1].isdecimal() or int(parts[-1]) >= len(target):
            raise UsageError(
                f"no entry {parts[-1]} in the list",
                where=f"--set {key}",
                received=parts[-1],
                expected=f"0 to {len(target) - 1}" if target else "a list with entries; this one is empty",
            )
        target[int(parts[-1])] = value
    else:
        target[parts[-1]] = value
    in_list = in_list or isinstance(target, list)
    return ".".join(named if in_list else parts)


def _with_origins(values: Mapping[str, Any], origins: Mapping[str, str]) -> str:
    """Returns YAML with each value's origin as a comment behind it."""

    def annotate(part: Mapping[str, Any], prefix: str) -> CommentedMap:
        out = CommentedMap()
        for key, value in part.items():
            nested = isinstance(value, Mapping) and bool(value)
            out[key] = annotate(value, f"{prefix}{key}.") if nested else value
            if not nested:
                out.yaml_add_eol_comment(_origin(origins, prefix + key), key)
        return out

    stream = StringIO()
    yaml = YAML(typ="rt")
    yaml.width = 120
    yaml.dump(annotate(values, ""), stream)
    return stream.getvalue()


def _origin(origins: Mapping[str, str], key: str) -> str:
    if key in origins:
        return origins[key]
    inside = [origin for known, origin in origins.items() if known.startswith(key + ".")]
    parents = [origins[p] for p in _parents(key) if p in origins]
    return (parents or inside or ["default"])[-1]


def _parents(key: str) -> list[str]:
    parts = key.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts))]
