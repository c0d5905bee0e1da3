"""`kft serve`: artifacts answer over HTTP."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kft.errors import UsageError
from kft.registry import nearest
from kft.serve.limits import Limits

if TYPE_CHECKING:
    from kft.search.index import Index
    from kft.serve.answering import Server
    from kft.serve.loading import Source
    from kft.serve.measures import Measures
    from kft.serve.models import Followed, Load, Served, Version
    from kft.serve.shadow import Shadow

NEEDS = ("fastapi", "uvicorn", "prometheus_client", "python_multipart")
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
    log: Literal["none", "requests", "contents"] = "requests",
    follow_seconds: float = 1.0,
    say: Callable[[str], None] | None = None,
    ready: Callable[[Serving], None] | None = None,
) -> None:
    """Answers requests over HTTP until SIGTERM or Ctrl-C; then those that were let in are answered.

    Args:
        artifacts: Folders from ``kft export``, or names on a shelf (``shelf/tickets``, ``shelf/tickets@challenger``):
            an alias is followed when it moves. ``NAME=`` before one gives the model another name. None is needed
            where there is an index.
        host: The address to listen at. One that other machines reach needs a token.
        port: 0 takes any that is free.
        token_file: Holds the token that clients have to show; default: the variable KFT_TOKEN, or none.
        limits: Those that differ from the default, by the names in ``kft.serve.limits.Limits``.
        record: A folder for a bounded sample of requests and answers, without personal data.
        shadow: A challenger, named as an artifact is, which answers the same inputs later and to nobody: what it says
            is counted, and recorded. One for each model; ``MODEL=`` before it says beside which.
        index: From ``kft.index``: answers POST /search.
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
    _require_extra()
    from kft.serve import running
    from kft.serve.answering import Server
    from kft.serve.app import make_app
    from kft.serve.guard import Access, Log
    from kft.serve.measures import Measures
    from kft.serve.models import Following, by_name
    from kft.serve.recording import Recorder

    say = say or (lambda line: None)
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
        recorder = Recorder(Path(record).expanduser(), say) if record else None
        if recorder is not None:
            opened_here.callback(recorder.close)  # also where a model cannot be opened: the folder is given back
        measures = Measures()
        load = partial(_load, say=say if record else None)
        served = by_name(_open_all(_listed(artifacts), load, bounds, measures))
        noted = Log(say, requests=log != "none", contents=log == "contents")
        shadows = _open_shadows(_listed(shadow), served, measures, say)
        server = Server(served, bounds, measures, noted, recorder, shadows)
        opened = None if index is None else _open_index(index)
        following = Following(_resolve, load, follow_seconds)
        app = make_app(server, Access(token, local=running.is_loopback(host)), following, opened)
        about = Serving(running.address_of(taken), bool(token), _about(server))
        running.run(
            app, taken, requests=bounds.requests, seconds=bounds.seconds, ready=lambda: ready(about) if ready else None
        )


def _open_index(dest: str | Path) -> Index:
    from kft.search.index import open_index

    opened = open_index(Path(dest).expanduser())
    opened.search("a first query")  # reads what is read once
    return opened


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
        version = load(_resolve(source.place), source.name)
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
        version = gently(lambda folder=folder, name=source.name or only: _load(folder, name))  # type: ignore[misc]
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


def _moves(source: Source) -> bool:
    """Whether what was named may stand for another version later: an alias does, a folder and a number do not."""
    from kft.deploy.standing import parse_reference

    return not source.is_folder and isinstance(parse_reference(source.place).pick, str)


def _resolve(place: str) -> Path:
    from kft.deploy.shelf import resolve

    return resolve(place)


def _load(folder: Path, name: str, say: Callable[[str], None] | None = None) -> Version:
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


def _require_extra() -> None:
    missing = [name for name in NEEDS if find_spec(name) is None]
    if missing:
        raise UsageError(
            "kft serve needs packages that are not installed",
            received=f"no {', '.join(missing)}",
            expected="the extra serve",
            next_step="pip install 'kft[serve]'",
        )
