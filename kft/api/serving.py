"""`kft serve`: artifacts answer over HTTP."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kft.errors import UsageError
from kft.extras import EXTRAS, require
from kft.registry import nearest
from kft.serve.limits import Limits

if TYPE_CHECKING:
    from kft.search.index import Index
    from kft.serve.answering import Server
    from kft.serve.loading import ModelLocation
    from kft.serve.measures import Measures
    from kft.serve.models import Followed, Load, LoadedVersion, Served
    from kft.serve.shadow import Shadow
    from kft.serve.writing import Writers, Writes

NEEDS = EXTRAS["serve"]
"""What the extra brings."""


@dataclass(frozen=True)
class Serving:
    """A server that answers.

    Attributes:
        url: Where.
        token: Whether clients have to show one.
        models: Name, version, task and source of each; ``shadow``, version and source of the challenger beside it.
    """

    url: str
    token: bool
    models: tuple[Mapping[str, Any], ...]

    def as_dict(self) -> dict[str, Any]:
        return {"url": self.url, "token": self.token, "models": list(self.models)}


def serve(
    artifacts: str | Path | Sequence[str | Path] = (),
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token_file: str | Path | None = None,
    limits: Mapping[str, float] | None = None,
    record: str | Path | None = None,
    shadow: str | Path | Sequence[str | Path] = (),
    index: str | Path | None = None,
    adapters: Mapping[str, str | Path] | None = None,
    log: Literal["none", "requests", "contents"] = "requests",
    follow_seconds: float = 1.0,
    say: Callable[[str], None] | None = None,
    ready: Callable[[Serving], None] | None = None,
) -> None:
    """Answers requests over HTTP until SIGTERM or Ctrl-C; then those that were let in are answered.

    Args:
        artifacts: Folders from ``kft export``, or names on a shelf (``shelf/tickets``, ``shelf/tickets@challenger``):
            an alias is followed when it moves. ``NAME=`` before one gives the model another name. Language models
            are runs of causal-lm or what was exported of them, and are not followed. None is needed where there is an
            index.
        host: The address to listen at. One that other machines reach needs a token.
        port: 0 takes any that is free.
        token_file: Holds the token that clients have to show; default: the variable KFT_TOKEN, or none.
        limits: Those that differ from the default, by the names in ``kft.serve.limits.Limits``.
        record: A folder for a bounded sample of requests and answers, without personal data.
        shadow: A challenger, named as an artifact is, which answers the same inputs later and to nobody: what it says
            is counted, and recorded. One for each model; ``MODEL=`` before it says beside which.
        index: From ``kft.index``: answers POST /search.
        adapters: Runs of causal-lm, or adapters that were exported of them, by what each is to be called; all were
            trained on one backbone, which is then the one artifact.
        log: What is noted of a request: nothing, all but its contents, or those too.
        follow_seconds: Between two looks at an alias.
        say: Takes each line of the log.
        ready: Is called once requests are answered.

    Raises:
        UsageError: The extra is not installed, the port is taken, a token is missing, or an argument is not valid.
        RunError: There is no such artifact, or it is damaged.

    Example:
        >>> import kft
        >>> kft.serve("shelf/tickets", port=8080)  # doctest: +SKIP
    """
    require_extra("kft serve")
    from kft.serve import running
    from kft.serve.answering import Server
    from kft.serve.app import make_app
    from kft.serve.guard import Access, Log
    from kft.serve.measures import Measures
    from kft.serve.models import Following, by_name
    from kft.serve.recording import SampleRecorder

    noted = Log(say or (lambda line: None), requests=log != "none", contents=log == "contents")
    say = noted.write
    if not _listed(artifacts) and index is None:
        raise UsageError(
            "there is nothing to serve",
            where="kft serve",
            received="no artifact, and no index",
            expected="a folder from kft export or a name on a shelf, an index, or both",
            next_step="kft serve ARTIFACT, or kft serve --index DEST with a folder from kft index",
        )
    bounds = _limits(limits or {})
    token = running.read_token(Path(token_file).expanduser() if token_file else None, os.environ)
    running.require_guarded(host, token)
    with running.take_port(host, port) as taken, ExitStack() as opened_here:
        recorder = SampleRecorder(Path(record).expanduser(), say) if record else None
        if recorder is not None:
            opened_here.callback(recorder.close)  # also where a model cannot be opened: the folder is given back
        measures = Measures()
        load = partial(_load, say=say if record else None)
        languages, others = _apart(_listed(artifacts), adapters or {}, record, shadow)
        served = by_name(_open_all(others, load, bounds, measures))
        writers = _open_writers(languages, adapters or {}, bounds, measures)
        _require_names(served, writers)
        for line in [] if writers is None else _otherwise(writers.models):
            say(line)
        shadows = _open_shadows(_listed(shadow), served, measures, say)
        server = Server(served, bounds, measures, noted, recorder, shadows)
        opened = None if index is None else _open_index(index)
        following = Following(_resolve, load, follow_seconds)
        app = make_app(server, Access(token, local=running.is_loopback(host)), following, opened, writers)
        about = Serving(running.address_of(taken), bool(token), (*_about(server), *_about_writers(writers)))
        running.run(
            app, taken, requests=bounds.requests, seconds=bounds.seconds, ready=lambda: ready(about) if ready else None
        )


def _open_index(dest: str | Path) -> Index:
    from kft.search.index import open_index

    opened = open_index(Path(dest).expanduser())
    opened.search("a first query")  # reads what is read once
    return opened


def _apart(
    artifacts: Sequence[str | Path], adapters: Mapping[str, str | Path], record: object, shadow: object
) -> tuple[list[ModelLocation], list[str | Path]]:
    """Parts language models from the others; a base with adapters is one of the first.

    Raises:
        UsageError: Adapters have no base or several, or a language model is to be recorded or shadowed.
    """
    from kft.deploy.lookup import writes_texts
    from kft.serve.loading import read_source

    if adapters and len(artifacts) != 1:
        raise UsageError(
            "adapters share one base, and several are named",
            where="--adapter",
            received=", ".join(map(str, artifacts)),
            expected="the backbone that the adapters were trained on",
            next_step="kft serve gemma3-270m --adapter NAME=RUN",
        )
    sources = [read_source(str(each)) for each in artifacts]
    places = [bool(adapters) or writes_texts(source.place) for source in sources]
    languages = [source for source, writes in zip(sources, places, strict=True) if writes]
    for option, wanted in (("--record", record), ("--shadow", shadow)):
        if languages and wanted:
            raise UsageError(
                "what language models write is neither recorded nor compared with a challenger",
                where=option,
                received=languages[0].place,
                expected="models with labels, or numbers",
                next_step="leave it out: /metrics counts tokens, and --log contents notes what is asked and answered",
            )
    return languages, [each for each, writes in zip(artifacts, places, strict=True) if not writes]


def _open_writers(
    sources: Sequence[ModelLocation], adapters: Mapping[str, str | Path], limits: Limits, measures: Measures
) -> Writers | None:
    if not sources:
        return None
    from kft import strategy
    from kft.answer.write import SamplingParams
    from kft.deploy.writing import open_adapters, open_writing
    from kft.serve.writing import make_writers

    with strategy.start("one").scope():
        if adapters:
            (base,) = sources
            groups = [open_adapters(base.place, {name: str(each) for name, each in adapters.items()}, base.name)]
        else:
            groups = [[open_writing(source.place, source.name)] for source in sources]
        for group in groups:
            for _ in group[0].stream("a first prompt", SamplingParams(max_tokens=2)):
                pass  # what is traced is traced now
    names = [each.name for group in groups for each in group]
    for name in names:
        if names.count(name) > 1:
            raise _twice(name)
        measures.loaded(name, next(each.version for group in groups for each in group if each.name == name))
    return make_writers(groups, limits, measures.follow_queue)


def _otherwise(models: Mapping[str, Writes]) -> Iterator[str]:
    """Yields in what way models write otherwise over /v1 than `kft generate` has them write."""
    for name, model in models.items():
        if model.writer.rule:
            yield f"{name} would withhold what it is not sure of; over /v1 every answer is given: kft generate declines"
        if model.spec.data.grounded:
            yield f"{name} was tuned to answer from passages; over /v1 none are looked up: the prompt has to bring them"


def _require_names(served: Mapping[str, Served], writers: Writers | None) -> None:
    for name in served if writers is not None else ():
        if writers is not None and name in writers.models:
            raise _twice(name)


def _twice(name: str) -> UsageError:
    return UsageError(
        f"two models are called {name}",
        expected="one name each",
        next_step=f"kft serve OTHER=FOLDER gives the second one another than {name}",
    )


def _about_writers(writers: Writers | None) -> tuple[Mapping[str, Any], ...]:
    if writers is None:
        return ()
    return tuple(
        {"name": name, "task": model.task.name, "version": model.version} for name, model in writers.models.items()
    )


def _listed(named: str | Path | Sequence[str | Path]) -> Sequence[str | Path]:
    return [named] if isinstance(named, (str, Path)) else named


def _about(server: Server) -> tuple[Mapping[str, Any], ...]:
    def source(followed: Followed) -> Mapping[str, Any]:
        return {"version": followed.current.version, "from": followed.source}

    return tuple(
        {"name": name, "task": served.current.task, **source(served.followed)}
        | ({"shadow": source(server.shadows[name].followed)} if name in server.shadows else {})
        for name, served in server.models.items()
    )


def _open_all(artifacts: Sequence[str | Path], load: Load, limits: Limits, measures: Measures) -> list[Served]:
    from kft.serve.loading import read_source
    from kft.serve.models import Followed, Served

    found = []
    for each in artifacts:
        source = read_source(str(each))
        version = load(_resolve(source.place), source.called)
        found.append(Served(Followed(source.place, version, moves=_moves(source)), limits, measures))
    return found


def _open_shadows(
    named: Sequence[str | Path], models: Mapping[str, Served], measures: Measures, say: Callable[[str], None]
) -> dict[str, Shadow]:
    from kft.serve.loading import read_source
    from kft.serve.models import Followed
    from kft.serve.shadow import Shadow, gently, require_alike

    found: dict[str, Shadow] = {}
    for each in named:
        source = read_source(str(each))
        folder = _resolve(source.place)
        only = next(iter(models)) if len(models) == 1 else ""
        version = gently(lambda folder=folder, name=source.name or only or source.called: _load(folder, name))  # type: ignore[misc]
        beside = version.name
        if beside not in models or beside in found:
            raise UsageError(
                f"{beside} has two shadows" if beside in found else f"no model is called {beside}",
                where=f"--shadow {each}",
                expected=f"one for each of {', '.join(models)}",
                next_step=f"--shadow {next(iter(models))}={source.place}",
            )
        version = require_alike(version, models[beside].current)
        followed = Followed(source.place, version, moves=_moves(source))
        batcher = models[beside].batcher
        found[beside] = Shadow(followed, lambda batcher=batcher: not batcher.busy, measures.shadows, say)  # type: ignore[misc]
    return found


def _moves(source: ModelLocation) -> bool:
    """Whether what was named may stand for another version later: an alias does, a folder and a number do not."""
    from kft.deploy.standing import parse_reference

    return not source.is_folder and isinstance(parse_reference(source.place).pick, str)


def _resolve(place: str) -> Path:
    from kft.deploy.shelf import resolve

    return resolve(place)


def _load(folder: Path, name: str, say: Callable[[str], None] | None = None) -> LoadedVersion:
    from kft.deploy.load import open_artifact
    from kft.serve.loading import load_version

    return load_version(open_artifact, folder, name, say)


def _limits(given: Mapping[str, float]) -> Limits:
    names = [each.name for each in fields(Limits)]
    for name, value in given.items():
        if name not in names:
            hint = nearest(name, names)
            raise UsageError(
                f"unknown limit {name!r}" + (f"; did you mean {hint!r}?" if hint else ""), expected=", ".join(names)
            )
        if not value > 0:
            raise UsageError("a limit has to be larger than 0", where=name, received=str(value))
    return Limits(**{**vars(Limits()), **given})


def require_extra(command: str) -> None:
    """Refuses a command that needs the extra, where that is not installed.

    Raises:
        UsageError: It is not.
    """
    require("serve", NEEDS, f"{command} needs packages that are not installed")
