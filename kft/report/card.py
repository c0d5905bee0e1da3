"""The model card of a run, in the format of the Hugging Face Hub: metadata as YAML, then what a reader has to know.

It says what the run folder knows. What only a person can know (who may use the model, for what, whom it affects)
carries the Hub's own mark, ``[More Information Needed]``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from kft.model.catalog import CATALOG, BackboneEntry
from kft.records.estimate import metric_title, shown_value
from kft.records.history import PhaseStarted
from kft.report.html import TEMPLATES, clean, shorten
from kft.report.maintenance import maintainable
from kft.report.questions import four_questions
from kft.report.record import RunRecord

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

    from kft.tasks.task import Task

METRICS = {"macro_f1": "f1", "micro_f1": "f1", "entity_f1": "f1", "pearson_r": "pearsonr"}
"""What the Hub calls a metric, where its name is another."""
LICENCES = {"Gemma terms": "gemma"}
"""What the Hub calls a licence, where lower case is not enough."""
LANGUAGES = {"English": "en"}
"""What a backbone reads, as the Hub's code; of several languages, which one the data are in is not known."""


def render_card(record: RunRecord) -> str:
    """Returns the card as Markdown, ending in a line break.

    Args:
        record: The run.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # Not HTML: what stands in a person's data is made plain by ``in_markdown``, in every place.
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=False,
        undefined=StrictUndefined,
        finalize=lambda value: in_markdown(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(reached=shown_value)
    body = environment.get_template("card.md.j2").render(_values(record))
    return f"---\n{card_data(record).to_yaml().rstrip()}\n---\n\n{body.rstrip()}\n"


def card_data(record: RunRecord) -> ModelCardData:
    """Returns the metadata: what the Hub searches and shows by."""
    from huggingface_hub import ModelCardData

    entry = _entry(record)
    languages = LANGUAGES.get(entry.languages) if entry else None
    return ModelCardData(
        model_name=record.recipe.name,
        base_model=_base_model(record),
        datasets=_datasets(record),
        eval_results=_results(record),
        language=languages if not record.task.reads.files else None,
        library_name="keras",
        license=LICENCES.get(entry.licence, entry.licence.lower()) if entry else "unknown",
        metrics=list(dict.fromkeys(METRICS.get(name, name) for name in record.values)),
        pipeline_tag=_pipeline(record.task),
        tags=["kft", "transfer-learning", record.task.name],
    )


def _pipeline(task: Task) -> str:
    """Returns what the Hub calls a task; numbers are a text classification of one class there."""
    if task.kind.writes:
        return "text-generation"
    if task.kind.masks:
        return "fill-mask"
    if task.kind.embeds:
        return "sentence-similarity"
    return "token-classification" if task.kind.learning.per_token else f"{task.reads.medium}-classification"


def _results(record: RunRecord) -> list[EvalResult]:
    from huggingface_hub import EvalResult

    (dataset, *_) = _datasets(record)
    return [
        EvalResult(
            task_type=_pipeline(record.task),
            dataset_type=dataset,
            dataset_name=dataset,
            dataset_split="test",
            dataset_revision=record.receipt.split_hash,
            metric_type=METRICS.get(name, name),
            metric_name=f"{metric_title(name)}, 95 % interval {value.low:.4f} to {value.high:.4f}",
            metric_value=round(value.value, 4),
        )
        for name, value in record.values.items()
    ]


def _datasets(record: RunRecord) -> list[str]:
    """Returns what the data are called: a name of a public source, the name of a file without its folder."""
    train = record.recipe.spec.data.train
    return [_name(source) for source in ((train,) if isinstance(train, str) else train)]


def _name(source: str) -> str:
    scheme, colon, name = source.partition(":")
    if colon and "/" not in scheme and not name.startswith("//"):
        return name.partition("?")[0]
    return Path(source.partition("?")[0].rstrip("/")).name


def _entry(record: RunRecord) -> BackboneEntry | None:
    name = record.receipt.backbone
    return CATALOG.get(name) if name in CATALOG else None


def _base_model(record: RunRecord) -> str:
    """Returns the Hub's name of the backbone where it comes from there, else its own."""
    entry = _entry(record)
    source = entry.source if entry else record.receipt.backbone
    return source.removeprefix("hf://") if source.startswith("hf://") else _name(record.receipt.backbone)


def _values(record: RunRecord) -> dict[str, Any]:
    receipt = record.receipt
    return {
        "record": record,
        "name": record.recipe.name,
        "task": record.task,
        "entry": _entry(record),
        "base_model": _base_model(record),
        "datasets": _datasets(record),
        "labels": [shorten(label, 60) for label in receipt.labels],
        "receipt": receipt,
        "refit": record.refit,
        "phases": [event for event in record.history if isinstance(event, PhaseStarted)],
        "spec": record.recipe.spec,
        "metrics": {
            metric_title(name): [str(value), *(str(found.get(name, "")) for found in record.baselines.values())]
            for name, value in record.values.items()
        },
        "columns": ["this model", *record.baselines],
        "gates": record.metrics.gates,
        "weak": [
            f"{part.by} {part.value}: {part.said} on {part.n:,} test examples" for part in record.metrics.weak_slices
        ],
        "maintained": [_without_paths(each.text, record) for each in maintainable(record)],
        "questions": {each.title: _without_paths(each.answer, record) for each in four_questions(record)},
        "limits": [_without_paths(each, record) for each in _limits(record)],
        "call": Markup(f"kft.{record.task.verb}({json.dumps(record.run.path.name)}, {record.task.reads.in_python})"),
        "versions": ", ".join(f"{name} {version}" for name, version in receipt.versions.items()),
    }


def _without_paths(text: str, record: RunRecord) -> str:
    """Returns a text in which folders of this machine are called by their last part: a card goes elsewhere."""
    for folder in (record.run.path, *(Path(each.folder) for each in record.exports)):
        text = text.replace(str(folder), folder.name)
    return text


def _limits(record: RunRecord) -> Iterable[str]:
    """Yields what is known to be wrong or missing, each as a sentence."""
    for question in four_questions(record):
        for each in question.evidence:
            if each.tone in ("error", "warning"):
                yield f"{each.text}."
    selective = record.metrics.selective
    if selective is not None and not selective.threshold and record.metrics.out_of_scope is None:
        yield "It answers everything: no threshold withholds the answers it is unsure of."


def in_markdown(text: str) -> str:
    r"""Returns a text that is no markup in Markdown, on one line.

    Example:
        >>> in_markdown("<b>5|6</b> `x` [y](z)")
        '&lt;b>5\\|6&lt;/b> \\`x\\` \\[y\\](z)'
    """
    line = " ".join(clean(text).split())
    marks: Mapping[str, str] = {"<": "&lt;", **{mark: f"\\{mark}" for mark in "|`[]*_"}}
    return "".join(marks.get(character, character) for character in line)
