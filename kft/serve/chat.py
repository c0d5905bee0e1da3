"""/v1: language models answer as OpenAI's clients ask, whole or as they write."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from kft.answer.write import SamplingParams
from kft.errors import KftError
from kft.recipe.schema import NO_TURN, ONE_TURN
from kft.registry import nearest
from kft.serve import documents
from kft.serve.chat_bodies import ChatBody, CompletionBody, WritingBody, read_body, wrong
from kft.serve.guard import Visit
from kft.serve.limits import CHARACTERS_A_TOKEN, Refused, too_large
from kft.serve.measures import Measures
from kft.serve.reading import JSON, dump
from kft.serve.writing import GenerationJob, Writers, Writes

PLAIN = (ONE_TURN, NO_TURN)
"""What was learned from other than chats."""
EVENTS = "text/event-stream"
FINISHES = {"end": "stop", "stop": "stop", "length": "length"}
"""Why an answer ended, and what OpenAI calls it."""
KEPT_APART = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""No proxy gathers what is streamed."""


def make_router(writers: Writers, measures: Measures, contents: bool) -> APIRouter:
    """Returns the routes.

    Args:
        writers: The models.
        measures: Where answers are counted.
        contents: Whether prompts and answers are noted.
    """
    router = APIRouter(tags=["Write"])

    @router.get("/v1/models", summary="The language models that answer here", responses=documents.ERRORS)
    async def models() -> dict[str, Any]:
        about = {"object": "model", "created": writers.created, "owned_by": "kft"}
        return {"object": "list", "data": [{"id": name, **about} for name in writers.models]}

    @router.post(
        "/v1/chat/completions",
        summary="Writes the next message of a chat",
        responses=documents.ERRORS,
        openapi_extra=documents.json_body(ChatBody),
    )
    async def chat(request: Request) -> Response:
        body: ChatBody = read_body(ChatBody, await request.body())
        if body.max_tokens is not None and body.max_completion_tokens is not None:
            raise wrong("max_tokens and max_completion_tokens are one thing", "max_completion_tokens")
        model = _find(writers, body.model)
        prompt = _question(model, body)
        asking = _asking(model, body, body.max_tokens or body.max_completion_tokens)
        return await _answer(_Asked(request, writers, measures, contents, model, body, prompt, asking, _CHAT))

    @router.post(
        "/v1/completions",
        summary="Writes the response to a prompt, which the model's own template is put around",
        responses=documents.ERRORS,
        openapi_extra=documents.json_body(CompletionBody),
    )
    async def completions(request: Request) -> Response:
        body: CompletionBody = read_body(CompletionBody, await request.body())
        model = _find(writers, body.model)
        if not isinstance(body.prompt, str) and len(body.prompt) != 1:
            raise wrong("prompt: one prompt is answered at a time", "prompt", "unsupported_parameter")
        prompt = body.prompt if isinstance(body.prompt, str) else body.prompt[0]
        asking = _asking(model, body, body.max_tokens)
        return await _answer(_Asked(request, writers, measures, contents, model, body, prompt, asking, _TEXT))

    return router


def _find(writers: Writers, name: str) -> Writes:
    if name in writers.models:
        return writers.models[name]
    hint = nearest(name, writers.models)
    here = f"did you mean {hint}?" if hint else f"there are {', '.join(writers.models)}"
    raise Refused(404, f"no model of this name; {here}", kind="unknown", param="model", code="model_not_found")


def _question(model: Writes, body: ChatBody) -> Any:
    """Returns what is asked: a chat of a model that was tuned on chats, of others their one turn."""
    if model.writer.reader.turns not in PLAIN:
        return [{"role": each.role, "content": each.text} for each in body.messages]
    if len(body.messages) != 1 or body.messages[0].role != "user":
        raise wrong("messages: this model was tuned on prompts: give one message, the user's", "messages")
    return body.messages[0].text


def _asking(model: Writes, body: WritingBody, most: int | None) -> SamplingParams:
    room = model.writer.reader.response_tokens
    if most is not None and most > room:
        raise wrong(f"max_tokens: at most {room:,}, as long as responses were in training", "max_tokens")
    return SamplingParams(most, body.temperature, body.top_p, body.seed, body.stops)


class _Shape:
    """How an answer is told: of a chat, or of a prompt."""

    def __init__(self, chat: bool) -> None:
        self.chat = chat

    @property
    def prefix(self) -> str:
        return "chatcmpl-" if self.chat else "cmpl-"

    def kind(self, chunk: bool) -> str:
        return ("chat.completion.chunk" if chunk else "chat.completion") if self.chat else "text_completion"

    def whole(self, text: str, finish: str) -> dict[str, Any]:
        said = {"message": {"role": "assistant", "content": text, "refusal": None}} if self.chat else {"text": text}
        return {"index": 0, **said, "logprobs": None, "finish_reason": finish}

    def piece(self, text: str, first: bool) -> dict[str, Any]:
        delta = {"delta": {"role": "assistant", "content": text} if first else {"content": text}}
        return {"index": 0, **(delta if self.chat else {"text": text}), "logprobs": None, "finish_reason": None}

    def last(self, finish: str) -> dict[str, Any]:
        return {"index": 0, **({"delta": {}} if self.chat else {"text": ""}), "logprobs": None, "finish_reason": finish}


_CHAT, _TEXT = _Shape(True), _Shape(False)


class _Asked:
    """One request that is being answered."""

    def __init__(
        self,
        request: Request,
        writers: Writers,
        measures: Measures,
        contents: bool,
        model: Writes,
        body: WritingBody,
        prompt: Any,
        asking: SamplingParams,
        shape: _Shape,
    ) -> None:
        self.request, self.desk, self.measures, self.contents = request, writers.desks[model.name], measures, contents
        self.model, self.body, self.prompt, self.asking, self.shape = model, body, prompt, asking, shape
        self.visit: Visit = request.state.visit
        self.started = time.monotonic()
        self.common = {
            "id": shape.prefix + secrets.token_hex(12),
            "created": int(time.time()),
            "model": model.name,
            "system_fingerprint": model.version,
        }

    def told(self, chunk: bool, choices: Sequence[Any], **more: Any) -> dict[str, Any]:
        """One object that is sent."""
        return {**self.common, "object": self.shape.kind(chunk), "choices": list(choices), **more}

    def done(self, written: Any) -> dict[str, int]:
        """Counts and notes an answer; returns its usage."""
        seconds = time.monotonic() - self.started
        self.measures.wrote(self.model.name, written.prompt_tokens, written.tokens, written.finish, seconds)
        self.visit.noted |= {"finish": written.finish, "tokens": written.tokens}
        if self.contents:
            self.visit.noted |= {"asked": self.prompt, "answered": written.text}
        total = written.prompt_tokens + written.tokens
        return {"prompt_tokens": written.prompt_tokens, "completion_tokens": written.tokens, "total_tokens": total}


async def _answer(asked: _Asked) -> Response:
    """Reads the prompt, waits for the first piece, and answers; whoever goes away has the answer end there."""
    model, visit, limits = asked.model, asked.visit, asked.desk.limits
    visit.noted |= {"model": model.name, "version": model.version}
    length = len(asked.prompt) if isinstance(asked.prompt, str) else sum(len(each["content"]) for each in asked.prompt)
    if length > (longest := limits.tokens * CHARACTERS_A_TOKEN):
        raise too_large(f"the prompt has {length:,} characters; at most {longest:,}")
    try:
        read, cut = await asyncio.to_thread(model.count, asked.prompt)
    except KftError as error:
        raise wrong(
            f"the prompt cannot be read: {error.problem}", "messages" if asked.shape.chat else "prompt"
        ) from None
    if cut:
        reason = f"the prompt has {read + cut:,} tokens in its template; at most {read:,} are read"
        raise wrong(reason, "messages" if asked.shape.chat else "prompt", "context_length_exceeded")
    job = GenerationJob(visit.until)
    gone = asyncio.create_task(_gone(asked.request.receive))
    gone.add_done_callback(lambda task: None if task.cancelled() else job.leave())
    pieces = asked.desk.write(model, asked.prompt, asked.asking, job)
    try:
        first = await anext(pieces, None)
        if first is None:
            gone.cancel()
            return Response(status_code=499)  # nobody reads it
        asked.measures.began(model.name, time.monotonic() - asked.started)
        if asked.body.stream:
            return _Stream(asked, first, pieces, gone)
        written = first
        async for piece in pieces:
            written = piece
    except BaseException:
        gone.cancel()
        await pieces.aclose()  # type: ignore[attr-defined]
        raise
    gone.cancel()
    if isinstance(written, str):
        return Response(status_code=499)
    usage = asked.done(written)
    choice = asked.shape.whole(written.text, FINISHES[written.finish])
    return Response(dump(asked.told(False, [choice], usage=usage)), media_type=JSON)


async def _gone(receive: Receive) -> None:
    """Ends when the client goes away."""
    while (await receive())["type"] != "http.disconnect":
        pass


class _Stream(Response):
    """An answer as it is written."""

    media_type = EVENTS

    def __init__(self, asked: _Asked, first: Any, pieces: AsyncIterator[Any], gone: asyncio.Task[None]) -> None:
        super().__init__(headers=KEPT_APART)
        del self.headers["content-length"]
        self._asked, self._first, self._pieces, self._gone_task = asked, first, pieces, gone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async for event in self._events():
                await send({"type": "http.response.body", "body": b"data: " + event + b"\n\n", "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._gone_task.cancel()
            await self._pieces.aclose()  # type: ignore[attr-defined]

    async def _events(self) -> AsyncIterator[bytes]:
        asked, shape = self._asked, self._asked.shape
        usage_too = bool(asked.body.stream_options and asked.body.stream_options.include_usage)
        more = {"usage": None} if usage_too else {}
        first, piece = True, self._first
        try:
            while isinstance(piece, str):
                if piece or first:
                    yield dump(asked.told(True, [shape.piece(piece, first)], **more))
                    first = False
                piece = await anext(self._pieces, None)
        except Exception as error:
            asked.visit.error = f"{type(error).__name__} while it wrote"
            reason = "unexpected; the server's log says where"
            yield dump({"error": {"message": reason, "type": "server_error", "param": None, "code": None}})
            return
        if piece is None:  # nobody reads it
            return
        usage = asked.done(piece)
        if first:
            yield dump(asked.told(True, [shape.piece("", True)], **more))
        yield dump(asked.told(True, [shape.last(FINISHES[piece.finish])], **more))
        if usage_too:
            yield dump(asked.told(True, [], usage=usage))
        yield b"[DONE]"
