"""How a run's artifact reads raw inputs, as artifact.json says it."""

from __future__ import annotations

from dataclasses import replace

from kft.answer.artifact import Artifact
from kft.records.shipped import Preprocessing


def reading_of(artifact: Artifact) -> Preprocessing:
    """Returns all that decides what a model is given of a raw input."""
    reader, spec = artifact.reader, artifact.spec
    reads = reader.task.reads
    reading = Preprocessing(kind="text-pair" if reads.pairs else reads.name, apart=reads.apart)
    if reader.sizing is not None:
        return replace(reading, **vars(reader.sizing))
    data, windows = spec.data, reader.windows
    reading = replace(reading, max_tokens=reader.max_tokens, html=data.html, redact=data.redact)
    reading = replace(reading, tail=reader.tail, path_column=data.document or "", **vars(spec.model.prompts))
    return reading if windows is None else replace(reading, overlap=windows.overlap, windows=windows.most)
