"""The application: one page, what it asks for, and the pages that kft wrote in the folder."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kft import __version__
from kft.api.listing import FINISHED, RunLine, list_runs
from kft.characters import visible
from kft.errors import KftError, UsageError
from kft.records.document import plain
from kft.records.estimate import metric_title
from kft.records.run_folder import RunFolder
from kft.tasks.names import ABOUT
from kft.ui.access import HEADERS, Door, PageAccess, refused
from kft.ui.folder import LARGEST_FILE, MOST_LISTED, data_in, page_in, place_of, recipes_in, take_in
from kft.ui.jobs import CommandJob, Jobs
from kft.ui.looking import KEYS, look, write_recipe
from kft.ui.telling import told, told_error
from kft.ui.trying import Trial

LARGEST_BODY = 2**20
LARGEST_IMAGE = 20 * 2**20
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; "
    "form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
SHOWN_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Of pages that hold a person's data: nothing in them runs."""
ASSETS = {
    "/page.css": ("kft.serve", "page.css", "text/css"),
    "/ui.css": ("kft.ui", "ui.css", "text/css"),
    "/answers.js": ("kft.serve", "answers.js", "text/javascript"),
    "/ui.js": ("kft.ui", "ui.js", "text/javascript"),
    "/steps.js": ("kft.ui", "steps.js", "text/javascript"),
}
"""Looks and answers are those of the page of `kft serve`."""
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Page:
    """What the requests share.

    Attributes:
        root: The folder, which is the current one.
        jobs: What was started in it.
        trial: The model that is being tried.
    """

    root: Path
    jobs: Jobs
    trial: Trial


def make_app(root: Path, access: PageAccess) -> Door:
    """Returns the application for a folder, which has to be the current one.

    Args:
        root: The folder.
        access: Who may ask.
    """
    page = Page(root, Jobs(root), Trial(root))
    routes = [
        Route("/", _page),
        *(Route(path, _asset) for path in ASSETS),
        Route("/state", _with(page, _state)),
        Route("/jobs/{job}", _with(page, _job)),
        Route("/runs", _with(page, _runs)),
        Route("/runs/{run}/about", _with(page, _about)),
        Route("/look", _with(page, _look), methods=["POST"]),
        Route("/recipe", _with(page, _recipe), methods=["POST"]),
        Route("/start", _with(page, _start), methods=["POST"]),
        Route("/stop", _with(page, _stop), methods=["POST"]),
        Route("/files", _with(page, _upload), methods=["POST"]),
        Route("/try", _with(page, _try), methods=["POST"]),
        Route("/shown/{name:path}", _with(page, _shown)),
    ]
    return Door(Starlette(routes=routes, exception_handlers=HANDLERS), access)


def _with(page: Page, answer: Callable[[Page, Request], Awaitable[Any]]) -> Handler:
    async def handle(request: Request) -> Response:
        found = await answer(page, request)
        return found if isinstance(found, Response) else JSONResponse(found, headers=HEADERS)

    return handle


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, KftError)
    return JSONResponse({"error": told_error(error)}, 422, HEADERS)


async def _no_such(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refused(error.status_code, str(error.detail).lower())


async def _unexpected(request: Request, error: Exception) -> Response:
    told = {
        "problem": f"unexpected {type(error).__name__}: {visible(str(error))[:300]}",
        "next_step": "try it once more; if it comes again, report it with what kft doctor says",
    }
    return JSONResponse({"error": told}, 500, HEADERS)


HANDLERS: dict[Any, Any] = {KftError: _refuse, HTTPException: _no_such, Exception: _unexpected}


@cache
def _content(package: str, name: str) -> bytes:
    return (files(package) / "templates" / name).read_bytes()


async def _page(request: Request) -> Response:
    headers = {**HEADERS, "Content-Security-Policy": POLICY}
    return Response(_content("kft.ui", "page.html"), media_type="text/html; charset=utf-8", headers=headers)


async def _asset(request: Request) -> Response:
    package, name, kind = ASSETS[request.url.path]
    return Response(_content(package, name), media_type=f"{kind}; charset=utf-8", headers=HEADERS)


async def _state(page: Page, request: Request) -> dict[str, Any]:
    """What the folder holds, and what was started in it."""
    return await asyncio.to_thread(_folder_state, page)


def _folder_state(page: Page) -> dict[str, Any]:
    jobs = [
        {"id": job.id, "kind": job.kind, "recipe": job.recipe, "run": job.run, "state": page.jobs.state(job)}
        for job in page.jobs.all()
    ]
    found = data_in(page.root)
    return {
        "version": __version__,
        "folder": page.root.name,
        "data": found[:MOST_LISTED],
        "more": max(0, len(found) - MOST_LISTED),
        "recipes": recipes_in(page.root),
        "jobs": jobs,
        "tasks": ABOUT,
        "largest": LARGEST_FILE,
    }


async def _job(page: Page, request: Request) -> dict[str, Any]:
    return await asyncio.to_thread(lambda: told(page.jobs, page.jobs.get(request.path_params["job"])))


async def _runs(page: Page, request: Request) -> dict[str, Any]:
    """What was trained here and is ready to be tried, whoever started it."""
    if not (page.root / "runs").is_dir():
        return {"runs": [], "unreadable": {}}
    found = await asyncio.to_thread(list_runs)
    unreadable = {visible(run): visible(why) for run, why in found.unreadable.items()}
    return {"runs": [_run_line(each) for each in found.runs if each.state == FINISHED], "unreadable": unreadable}


def _run_line(run: RunLine) -> dict[str, Any]:
    metrics = [(metric_title(name), plain(value)) for name, value in run.metrics.items()]
    there = (Path(run.run) / "report.html").is_file()
    return {"run": run.run, "figure": run.figure, "metrics": metrics, "report": there}


async def _look(page: Page, request: Request) -> dict[str, Any]:
    asked = await _asked(request, KEYS)
    return await asyncio.to_thread(look, page.root, asked)


async def _recipe(page: Page, request: Request) -> dict[str, Any]:
    asked = await _asked(request, KEYS)
    return {"recipe": await asyncio.to_thread(write_recipe, page.root, asked)}


async def _start(page: Page, request: Request) -> dict[str, Any]:
    """Starts a check, a training or a report, or goes on with a training."""
    asked = await _asked(request, ("kind", "recipe", "run"))
    return {"id": (await asyncio.to_thread(_begin, page, **asked)).id}


def _begin(page: Page, kind: str = "", recipe: str = "", run: str = "") -> CommandJob:
    if kind not in ("check", "train", "report"):
        raise UsageError("this page starts a check, a training or a report", received=kind[:80] or "nothing")
    if run and not run.startswith("runs/"):
        raise UsageError("a run lies in the folder runs", received=run[:80])
    for name in filter(None, (recipe, run)):
        place_of(page.root, name)
    if (kind != "report" and not recipe.endswith(".yaml")) or recipe.startswith("-") or (kind == "report" and not run):
        raise UsageError(
            "there is nothing to start", received=recipe[:80] or "no recipe", next_step="load the page again"
        )
    page.trial.forget()
    if kind == "report":
        return page.jobs.start("report", [run], recipe=recipe, run=run)
    if kind == "check":
        return page.jobs.start("check", [recipe], recipe=recipe)
    if run:
        own = RunFolder(Path(run)).recipe
        again = [str(own) if own.is_file() else recipe, "--run", run, "--resume"]
        return page.jobs.start("train", again, recipe=recipe, run=run)
    run = _new_run(Path(recipe).stem)
    return page.jobs.start("train", [recipe, "--run", run], recipe=recipe, run=run)


def _new_run(name: str) -> str:
    number = 1
    while Path(f"runs/{name}-{number}").exists():
        number += 1
    return f"runs/{name}-{number}"


async def _stop(page: Page, request: Request) -> dict[str, Any]:
    asked = await _asked(request, ("id",))
    page.jobs.stop(page.jobs.get(asked.get("id", "")))
    return {}


async def _upload(page: Page, request: Request) -> dict[str, Any]:
    return {"name": await take_in(page.root, request.query_params.get("name", ""), request.stream())}


async def _about(page: Page, request: Request) -> dict[str, Any]:
    run = f"runs/{request.path_params['run']}"
    return await asyncio.wrap_future(page.trial.thread.submit(page.trial.about, run))


async def _try(page: Page, request: Request) -> dict[str, Any]:
    """Answers a text, two texts, or an image."""
    if request.headers.get("content-type", "").startswith("image/"):
        image = await _body(request, LARGEST_IMAGE)
        future = page.trial.thread.submit(page.trial.ask_image, request.query_params.get("run", ""), image)
        return await asyncio.wrap_future(future)
    asked = await _asked(request, ("run", "text", "pair"))
    texts = [asked[name] for name in ("text", "pair") if name in asked]
    if not texts:
        raise UsageError("there is no text", next_step="write one")
    return await asyncio.wrap_future(page.trial.thread.submit(page.trial.ask, asked.get("run", ""), texts))


async def _shown(page: Page, request: Request) -> Response:
    """A page that kft report or kft check wrote, as it is."""
    path = await asyncio.to_thread(page_in, page.root, request.path_params["name"])
    if path is None:
        raise HTTPException(404, "there is no such page here")
    headers = {**HEADERS, "Content-Security-Policy": SHOWN_POLICY}
    content = await asyncio.to_thread(path.read_bytes)
    return Response(content, media_type="text/html; charset=utf-8", headers=headers)


async def _asked(request: Request, names: tuple[str, ...]) -> dict[str, str]:
    """Returns what a request asks: texts by name, and no other.

    Raises:
        UsageError: It is something else.
    """
    try:
        asked = json.loads(await _body(request, LARGEST_BODY))
        fits = all(name in names and isinstance(value, str) and "\0" not in value for name, value in asked.items())
    except (ValueError, AttributeError, RecursionError):
        fits = False
    if not fits:
        raise UsageError("the request is none of this page's", expected=f"JSON with texts: {', '.join(names)}")
    return dict(asked)


async def _body(request: Request, most: int) -> bytes:
    parts: list[bytes] = []
    async for part in _at_most(request.stream(), most):
        parts.append(part)
    return b"".join(parts)


async def _at_most(parts: AsyncIterator[bytes], most: int) -> AsyncIterator[bytes]:
    size = 0
    async for part in parts:
        size += len(part)
        if size > most:
            raise UsageError("this is more than the page takes at once", expected=f"at most {most // 2**20} MB")
        yield part
