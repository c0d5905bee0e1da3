"""One request's way to its answer: find the model, check the inputs, compute, note, record; whatever the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kft.errors import KftError
from kft.serve.batching import Answer
from kft.serve.guard import Log, Visit
from kft.serve.limits import CHARACTERS_A_TOKEN, Limits, Refused, too_large, wrong
from kft.serve.measures import Measures
from kft.serve.models import LoadedVersion, Served, find
from kft.serve.reading import as_inputs
from kft.serve.recording import SampleRecorder
from kft.serve.shadow import Shadow, finite


@dataclass(frozen=True)
class Server:
    """What all requests share.

    Attributes:
        models: By name.
        limits: What is taken at most.
        measures: Where it is counted.
        log: Where it is noted.
        recorder: Keeps a sample; None: nothing is kept.
        shadows: Challengers that answer beside a model, by its name.
    """

    models: Mapping[str, Served]
    limits: Limits
    measures: Measures
    log: Log
    recorder: SampleRecorder | None = None
    shadows: Mapping[str, Shadow] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelRequest:
    """What was asked for, whatever the protocol.

    Attributes:
        model: Its name; None: the only one.
        version: None: the one that answers.
        kind: What the inputs are said to be; empty: what the model reads.
        inputs: As they came.
    """

    model: str | None
    inputs: Sequence[Any]
    kind: str = ""
    version: str | None = None


@dataclass(frozen=True)
class Answered:
    """What a request is answered with, whatever the protocol.

    Attributes:
        version: That answered all of it.
        answers: One an input, in order.
        cut: How many of its texts are longer than what the model reads of them.
    """

    version: LoadedVersion
    answers: list[Answer]
    cut: int

    @property
    def told(self) -> dict[str, int]:
        """What a response says beside the answers: ``cut``, where a text was."""
        return {"cut": self.cut} if self.cut else {}


async def answer(server: Server, question: ModelRequest, visit: Visit) -> Answered:
    """Answers a question with one version of one model.

    Raises:
        Refused: It cannot be answered, or not now.
    """
    served = find(server.models, question.model)
    version = served.require_version(question.version)
    visit.noted |= {"model": version.name, "version": version.version, "inputs": len(question.inputs)}
    inputs = as_inputs(question.inputs, question.kind, version.reads, server.limits)
    await _require_tokens(inputs, version, server.limits.tokens)
    try:
        found = await served.batcher.answer(version.looking or version, inputs, visit.seconds_left())
    except KftError as error:
        if error.exit_code != 2:
            raise
        raise wrong(f"the model cannot read an input: {error.problem}") from None
    looked = None if version.looking is None else found
    answers = found if looked is None else [each.answer for each in looked]
    if not all(map(finite, answers)):
        raise RuntimeError("the model answered with a number that is not finite")
    abstained = sum(bool(each.get("abstain")) for each in answers)
    server.measures.answered(version.name, abstained, len(answers) - abstained)
    cut = await asyncio.to_thread(version.cut, inputs)
    server.measures.cut(version.name, cut)
    if server.log.contents:
        texts = inputs if version.reads != "image" else [f"{len(each):,} bytes" for each in inputs]
        visit.noted |= {"asked": texts, "answered": answers}
    answered = Answered(version, answers, cut)
    visit.noted |= answered.told
    shadow = server.shadows.get(version.name)
    beside = shadow.offer(version, inputs, answers) if shadow else None
    if server.recorder is not None:
        server.recorder.keep(version, inputs, answers, beside, looked)
    return answered


async def _require_tokens(inputs: Sequence[Any], version: LoadedVersion, most: int) -> None:
    """Refuses texts of too many tokens. No text has more of them than bytes, so that hardly any has to be counted."""
    if version.reads == "image":
        return
    for place, given in enumerate(inputs):
        for text in given if isinstance(given, tuple) else (given,):
            if len(text) <= most and len(text.encode()) <= most:
                continue
            if len(text) > (longest := most * CHARACTERS_A_TOKEN):
                raise too_large(f"input {place}: a text of {len(text):,} characters; at most {longest:,}")
            count = await asyncio.to_thread(version.count_tokens, text) if version.count_tokens else len(text.split())
            if count > most:
                raise Refused(422, f"input {place}: {count:,} tokens in a text; at most {most:,}", kind="too-large")
