"""A suite of edge cases: what stands in checks.yaml, in the tradition of CheckList (Ribeiro et al., 2020).

Three kinds of check: ``must_pass`` (an input and what it has to be answered), ``invariance`` (a change that must not
change the label) and ``directional`` (a change after which a probability has to move one way, or the label has to
change). The loader finds everything that is wrong at once, as that of the recipe does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, WithJsonSchema, model_validator

from kft.errors import KftError, SuiteError
from kft.recipe.explain import Document, Misfit, explain_errors, recipe_error
from kft.recipe.load import Recipe
from kft.recipe.spec import Spec
from kft.recipe.values import EDGE_CASES
from kft.recipe.yaml_file import as_plain, read_yaml
from kft.registry import nearest
from kft.suites.perturbations import PERTURBATIONS
from kft.tasks.registry import TASKS

Kind = Literal["must_pass", "invariance", "directional"]
DECLINES = "declines"
"""What is expected of a prompt whose passages do not answer it."""
AT_LEAST: Mapping[Kind, float] = {"must_pass": 1.0, "invariance": 0.9, "directional": 0.9}
"""What share of a check's cases has to pass, where it does not say so itself: what must pass, must; of changes that
were made by rule a few go wrong by themselves."""


def _input(value: Any) -> Any:
    pair = isinstance(value, (list, tuple)) and len(value) == 2 and all(isinstance(part, str) for part in value)
    if pair:
        return tuple(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise ValueError("a text, the path of an image, or a list of two texts")
    return value


def _input_alone(value: Any) -> Any:
    return {"input": value} if isinstance(value, (str, int, float, list)) else value


def _labels(value: Any) -> Any:
    several = value if isinstance(value, (list, tuple)) else [value]
    if not several or not all(isinstance(one, (str, int, float)) and not isinstance(one, bool) for one in several):
        raise ValueError("a label, or a list of labels")
    return tuple(str(one) for one in several)


def _known_change(name: str) -> str:
    if name not in PERTURBATIONS:
        hint = nearest(name, PERTURBATIONS.names())
        raise ValueError(", ".join(PERTURBATIONS.names()) + (f"; did you mean {hint}?" if hint else ""))
    return name


def _change_alone(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _changes(value: Any) -> Any:
    return [value] if isinstance(value, (str, Mapping)) else value


GivenInput = Annotated[Any, BeforeValidator(_input), WithJsonSchema({"type": ["string", "array"]})]
Labels = Annotated[tuple[str, ...], BeforeValidator(_labels, json_schema_input_type=str | list[str])]


class CaseSpec(Spec):
    """One input; for ``must_pass`` also what it has to be answered: any of what is named will do."""

    input: GivenInput = Field(description="a text, two texts, or an image's path relative to the suite")
    label: Labels = Field((), description="the label, or the document's id; or several of which any will do")
    abstain: bool = Field(False, description="the model may decline to answer")
    confidence_at_most: float | None = Field(None, gt=0, le=1, description="any label that is no surer than this")
    changed: GivenInput | None = Field(None, description="the input after the change, written by hand")
    context: Labels = Field((), description="of prompts: the passage that it is answered from, or a list of several")

    @property
    def expects(self) -> bool:
        return bool(self.label) or self.abstain or self.confidence_at_most is not None


class ChangeSpec(Spec):
    """A change by its name: ``typos``, or ``{name: append, text: zz-ref}``."""

    name: Annotated[str, AfterValidator(_known_change)] = Field(description="such as typos; docs/evaluation.md has all")
    text: str | None = Field(None, min_length=1, description="the word or mark, for remove, append and prepend")
    side: Literal["first", "second", "both"] = Field("both", description="of a pair of texts, which is changed")

    @model_validator(mode="after")
    def _fits(self) -> ChangeSpec:
        if PERTURBATIONS.get(self.name).takes_text != (self.text is not None):
            wanted = "a `text:`, such as {name: append, text: zz-ref}" if self.text is None else "no `text:`"
            raise ValueError(f"{wanted} for {self.name}")
        return self

    @property
    def title(self) -> str:
        """What it is called in a case's id: unique within a check."""
        words = [self.name, *([repr(self.text)] if self.text else []), *([self.side] if self.side != "both" else [])]
        return " ".join(words)


class RowsSpec(Spec):
    """Inputs from a column of a table."""

    file: str = Field(description="csv, tsv, jsonl or parquet, relative to the suite")
    column: str | None = Field(None, description="default: the column that the model was trained on")
    pair: str | None = Field(None, description="the column of second texts; default likewise")
    context: str | None = Field(
        None, description="of prompts: the column of passages; default: data.context of the run"
    )
    most: int = Field(50, ge=1, le=100_000, description="only the first rows, so many")


class CheckSpec(Spec):
    """Several cases that test one thing."""

    name: Annotated[str, Field(pattern=r"^\S[^\n]*$")] = Field(description="a name, on one line")
    kind: Kind
    about: str = Field("", description="what it tests, for people")
    at_least: float | None = Field(None, gt=0, le=1, description="share of its cases that has to pass")
    cases: tuple[Annotated[CaseSpec, BeforeValidator(_input_alone)], ...] = ()
    rows: RowsSpec | None = None
    cases_of: str | None = Field(None, description="takes the cases of another check")
    changes: Annotated[
        tuple[Annotated[ChangeSpec, BeforeValidator(_change_alone)], ...], BeforeValidator(_changes)
    ] = ()
    expect: Literal["rises", "falls", "does_not_rise", "does_not_fall", "label_changes", "declines"] | None = Field(
        None,
        description="what a change does to the probability of `label`; only for directional. declines, of prompts with "
        "passages: no answer, or more of it stands in no passage",
    )
    label: Labels = Field((), description="of all cases that name none themselves")
    within: float | None = Field(
        None, gt=0, le=1e15, description="how far a number may move; of invariance, for text-regression alone"
    )
    among_first: int | None = Field(
        None,
        ge=1,
        le=100,
        description="the right document has to be one of so many; default: the first. For text-embedding alone",
    )
    tolerance: float = Field(0.05, ge=0, lt=1, description="how far a probability that does_not_rise may rise; or fall")

    @model_validator(mode="after")
    def _fits(self) -> CheckSpec:
        if sum((bool(self.cases), self.rows is not None, self.cases_of is not None)) != 1:
            raise ValueError("exactly one of `cases`, `rows` and `cases_of`")
        if (self.expect is not None) != (self.kind == "directional"):
            raise ValueError("`expect` for directional checks, and for no others")
        if self.kind == "must_pass":
            if self.changes or any(case.changed is not None for case in self.cases):
                raise ValueError("no changes for must_pass: invariance and directional checks have them")
        elif not self.changes and not (self.cases and all(case.changed is not None for case in self.cases)):
            raise ValueError(f"`changes` for {self.kind}, or `changed` in every case")
        if self.label and not self.reads_labels:
            raise ValueError(f"no `label` for {self.expect or self.kind}: the label before the change is looked at")
        if "tolerance" in self.model_fields_set and self.expect not in ("does_not_rise", "does_not_fall"):
            raise ValueError("`tolerance` with does_not_rise and does_not_fall alone")
        if self.within is not None and self.kind != "invariance":
            raise ValueError("`within` for invariance alone")
        if self.among_first is not None and self.kind == "directional":
            raise ValueError("`among_first` for must_pass and invariance alone")
        titles = [change.title for change in self.changes]
        if len(set(titles)) < len(titles):
            raise ValueError("changes that differ")
        return self

    @property
    def reads_labels(self) -> bool:
        """Whether it compares with a label that stands in the suite."""
        return self.kind == "must_pass" or self.expect not in (None, "label_changes", DECLINES)

    @property
    def needed(self) -> float:
        return AT_LEAST[self.kind] if self.at_least is None else self.at_least


class SuiteSpec(Spec):
    """A whole suite."""

    seed: int = Field(0, ge=0, le=2**32 - 1, description="of the changes that are random")
    checks: tuple[CheckSpec, ...] = Field(description="a list of checks")


SUITE = Document(
    noun="suite",
    model=SuiteSpec,
    error=SuiteError,
    keys="`checks:`, a list",
    write="kft evaluate RUN --draft-suite checks.yaml writes one from the rows of a run",
    example="docs/evaluation.md has a working example",
    help="docs/evaluation.md lists every key",
)


@dataclass(frozen=True)
class Suite:
    """A suite that is valid by itself.

    Attributes:
        spec: What stands in it.
        path: The file; paths in it start from its folder.
        lines: The file as ruamel.yaml read it, which knows the lines.
    """

    spec: SuiteSpec
    path: Path
    lines: Any = None

    def source_of(self, check: CheckSpec) -> CheckSpec:
        """Returns the check that holds a check's cases: itself, or the one that ``cases_of`` names."""
        if check.cases_of is None:
            return check
        return next(other for other in self.spec.checks if other.name == check.cases_of)

    def error(self, found: Sequence[Misfit]) -> KftError:
        """Returns one error for all that is wrong: where in the suite, and what."""
        return recipe_error(found, self.lines, str(self.path), SUITE)


def load_suite(path: str | Path) -> Suite:
    """Reads and validates a suite.

    Args:
        path: The YAML file.

    Raises:
        SuiteError: There is none, it is no YAML, or it is not valid; lists every error with its line.
    """
    raw = read_yaml(Path(path), SUITE)
    try:
        spec = SuiteSpec.model_validate(as_plain(raw))
    except ValidationError as error:
        raise explain_errors(error, raw, str(path), SUITE) from None
    suite = Suite(spec, Path(path), raw)
    found = list(_sources(spec)) or [*_names(spec), *_expectations(suite)]  # the latter look into the sources
    if found:
        raise suite.error(found)
    return suite


def suite_of(recipe: Recipe) -> Suite | None:
    """Returns the suite that a recipe names with ``evaluate.suite``; None where it names none.

    Raises:
        SuiteError: As ``load_suite``.
        RecipeError: A gate names a check that the suite does not have.
    """
    if recipe.suite is None:
        return None
    suite = load_suite(recipe.suite)
    known = [*TASKS.get(recipe.spec.task).kind.judging.gates, *(EDGE_CASES + check.name for check in suite.spec.checks)]
    found: list[Misfit] = []
    for name in recipe.spec.evaluate.gates:
        if name.startswith(EDGE_CASES) and name not in known:
            hint = nearest(name, known)
            text = f"{suite.path.name} has no such check" + (f"; did you mean {hint}?" if hint else "")
            found.append((("evaluate", "gates", name), text))
    if found:
        raise recipe_error(found, None, str(recipe.path or "recipe"))
    return suite


def _sources(spec: SuiteSpec) -> Iterator[Misfit]:
    # Not by pydantic: it would also call a list too short whose checks are all wrong.
    if not spec.checks:
        yield ("checks",), "expected at least one check"
    names = [check.name for check in spec.checks if check.cases_of is None]
    for place, check in enumerate(spec.checks):
        if check.cases_of is not None and check.cases_of not in names:
            hint = nearest(check.cases_of, names)
            text = f"no check {check.cases_of!r} with `cases` or `rows`" + (f"; did you mean {hint}?" if hint else "")
            yield ("checks", place, "cases_of"), text


def _names(spec: SuiteSpec) -> Iterator[Misfit]:
    seen = set()
    for place, check in enumerate(spec.checks):
        if check.name in seen:
            yield ("checks", place, "name"), f"{check.name!r} stands twice"
        seen.add(check.name)


def _expectations(suite: Suite) -> Iterator[Misfit]:
    """What a case has to say, unless its check says it for all; a check that borrows cases borrows that too."""
    for place, check in enumerate(suite.spec.checks):
        source = suite.source_of(check)
        if not check.reads_labels:
            continue
        must = check.kind == "must_pass"
        wanted = "label, abstain or confidence_at_most" if must else "one label"
        if not source.cases and not (check.label if must else len(check.label) == 1):
            yield ("checks", place), f"needs {'`label`' if must else 'one `label`'}: rows of a file bring none"
        for number, case in enumerate(source.cases):
            if not (case.expects or check.label if must else len(case.label or check.label) == 1):
                where = ("checks", place, "cases", number) if source is check else ("checks", place)
                yield where, f"a case without what is expected: {wanted}"
