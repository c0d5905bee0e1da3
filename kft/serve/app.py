"""The application: /predict, /v2, /metrics, the pages, behind the guard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from kft import __version__
from kft.serve import documents, open_inference, pages
from kft.serve.answering import ModelRequest, Server, answer
from kft.serve.guard import Access, Guard, refusal
from kft.serve.limits import Refused
from kft.serve.models import Following, Served
from kft.serve.reading import JSON, PredictBody, dump, read_predict
from kft.serve.shadow import Shadow

if TYPE_CHECKING:
    from pydantic import BaseModel

    from kft.search.index import Index
    from kft.serve.writing import Writers

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-{nonce}'; "
    "connect-src 'self'; img-src data: blob:; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class _App(FastAPI):
    """FastAPI, whose document also has the bodies that are read by hand."""

    bodies: tuple[type[BaseModel], ...] = (PredictBody, open_inference.InferenceRequest)

    def openapi(self) -> dict[str, Any]:
        made = super().openapi()  # once: FastAPI keeps it
        made["components"]["schemas"] |= documents.schemas(self.bodies)
        return made


def make_app(
    server: Server,
    access: Access,
    following: Following | None = None,
    index: Index | None = None,
    writers: Writers | None = None,
) -> Guard:
    """Returns the application of a server.

    Args:
        server: What all requests share.
        access: Who may ask.
        following: How aliases are followed; None: none moves.
        index: What /search asks; None: there is no such path.
        writers: The language models, which /v1 asks; None: likewise.
    """
    app = _App(
        title="kft",
        version=__version__,
        summary="Answers of the models that this server holds.",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan(server, following, writers),
        redirect_slashes=False,
    )
    if server.recorder is not None:
        server.measures.follow_recorder(server.recorder.works)
    _add_predict(app, server)
    app.include_router(open_inference.make_router(server))
    if index is not None:
        from kft.serve import searching  # what it needs is not on every server

        app.include_router(searching.make_router(index, server.limits))
    if writers is not None:
        from kft.serve import chat

        app.bodies = (*app.bodies, chat.ChatBody, chat.CompletionBody)
        app.include_router(chat.make_router(writers, server.measures, server.log.contents))
    _add_pages(app, server, token=bool(access.token), search=index is not None)
    _add_errors(app)
    return Guard(app, server.limits, access, server.measures, server.log)


def _add_predict(app: FastAPI, server: Server) -> None:
    @app.post(
        "/predict",
        summary="Answers one input, or several",
        tags=["Predict"],
        responses=documents.ERRORS,
        openapi_extra=documents.json_or_form(PredictBody),
    )
    async def predict(request: Request) -> Response:
        asked = await read_predict(request, server.limits)
        question = ModelRequest(asked.model, asked.inputs, asked.kind)
        found = await answer(server, question, request.state.visit)
        answers, by = found.answers, {"model": found.version.name, "version": found.version.version, **found.told}
        return Response(dump({**answers[0], **by} if asked.one else {**by, "predictions": answers}), media_type=JSON)

    @app.get("/models", summary="The models that answer here", tags=["Predict"], responses=documents.ERRORS)
    async def models() -> list[dict[str, Any]]:
        versions = [served.current for served in server.models.values()]
        return [
            {"name": each.name, "version": each.version, "task": each.task, "reads": each.reads, "labels": each.labels}
            for each in versions
        ]


def _add_pages(app: FastAPI, server: Server, *, token: bool, search: bool) -> None:
    @app.get("/metrics", summary="Figures for Prometheus", tags=["Operation"], responses=documents.ERRORS)
    async def metrics() -> Response:
        return Response(server.measures.text(), media_type=METRICS_TYPE)

    def page(template: str, **values: Any) -> Response:
        nonce = pages.new_nonce()
        headers = {name: value.format(nonce=nonce) for name, value in PAGE_HEADERS.items()}
        content = pages.render(template, {"nonce": nonce, **values})
        return Response(content, media_type="text/html; charset=utf-8", headers=headers)

    @app.get("/", include_in_schema=False)
    async def try_it() -> Response:
        return page("try.html.j2", token=token, search=search) if server.models or search else await docs()

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return page("docs.html.j2", operations=pages.operations(app.openapi()), token=token)


def _add_errors(app: FastAPI) -> None:
    """Has every error be ``{"error": reason}``."""

    async def refused(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException):
            error = Refused(error.status_code, str(error.detail).lower(), kind="unknown")
        elif isinstance(error, RequestValidationError):
            error = Refused(422, "the request is not valid", kind="invalid")
        elif not isinstance(error, Refused):
            error = Refused(500, "unexpected; the server's log says where", kind="unexpected")
        return await refusal(request.state.visit, error)

    for kind in (Refused, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, refused)


def _lifespan(server: Server, following: Following | None, writers: Writers | None) -> Callable[[FastAPI], Any]:
    """Returns what runs around the requests: aliases are followed, and at the end all that was let in is answered."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        moving: list[Served | Shadow] = [*server.models.values(), *server.shadows.values()]
        moving = [each for each in moving if each.followed.moves]
        tasks = [asyncio.create_task(_follow(server, each, following)) for each in moving if following]
        yield
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        for served in server.models.values():
            await served.batcher.close()
        if writers is not None:
            await asyncio.to_thread(writers.close)
        for shadow in server.shadows.values():
            await asyncio.to_thread(shadow.close)
        if server.recorder is not None:
            await asyncio.to_thread(server.recorder.close)

    return lifespan


async def _follow(server: Server, model: Served | Shadow, following: Following) -> None:
    while True:
        await asyncio.sleep(following.seconds)
        said = await model.follow(following)
        if said:
            server.log.write(said)
