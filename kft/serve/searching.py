"""POST /search: the documents of an index that answer a query."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from kft.errors import KftError
from kft.records.document import as_document
from kft.search.index import Index
from kft.serve import documents
from kft.serve.limits import CHARACTERS_A_TOKEN, Limits, busy, too_large, wrong
from kft.serve.reading import JSON, dump, parse

WAITING = 32
"""Queries that wait at most: one is answered at a time, because it takes all cores."""
MOST = 100


class SearchBody(BaseModel):
    """The body of a request to /search."""

    model_config = ConfigDict(extra="forbid", strict=True, title="SearchBody")

    query: str = Field(description="A question, or some words.", min_length=1)
    k: int = Field(10, description="Documents at most.", ge=1, le=MOST)


def make_router(index: Index, limits: Limits) -> APIRouter:
    """Returns the route of an index.

    Args:
        index: Answers.
        limits: Of the server.
    """
    router, turn = APIRouter(), asyncio.Lock()
    waiting = 0

    @router.post(
        "/search",
        summary="Finds the documents that answer a query",
        tags=["Search"],
        responses=documents.ERRORS,
        openapi_extra={
            "requestBody": {"required": True, "content": {JSON: {"schema": SearchBody.model_json_schema()}}}
        },
    )
    async def search(request: Request) -> Response:
        nonlocal waiting
        body: SearchBody = parse(SearchBody, await request.body())
        if len(body.query) > CHARACTERS_A_TOKEN * limits.tokens:
            raise too_large(f"the query is longer than {limits.tokens:,} tokens can be")
        if waiting >= WAITING:
            raise busy("too many queries wait", 1.0)
        waiting += 1
        try:
            async with turn:
                found = await asyncio.to_thread(index.search, body.query, body.k)
        except KftError as error:
            raise wrong(error.problem) from None
        finally:
            waiting -= 1
        return Response(dump(as_document(found)), media_type=JSON)

    return router
