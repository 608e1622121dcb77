"""
HTTP as every daemon serves it: an application whose errors have one form, in a thread of its own.

This module decides what a client may make the process do before anybody looks at what it said: how
many bytes are read, how long they may take, and that each refusal is one sentence with a code. What
is served, the daemons decide.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from uvicorn.protocols.http.h11_impl import H11Protocol

BODY_SECONDS = 10.0
"""What a body may take to arrive."""
HEADER_SECONDS = 10.0
"""What a connection may do nothing for before it is closed."""
MOST_CONNECTIONS = 256
"""Connections at a time; what comes beyond is told to come again."""
IDLE_SECONDS = 5
ENDING_SECONDS = 1
"""What requests are given to end when the daemon does."""

_CODES = {404: "not_found", 405: "method_not_allowed"}


class ErrorDetail(BaseModel):
    """What went wrong: a word for programs, and a sentence for people."""

    code: str
    message: str


class ErrorBody(BaseModel):
    """The body of every answer that is not a success."""

    error: ErrorDetail


class Refusal(Exception):
    """Ends a request with this status, code and sentence; `retry_after` is in seconds."""

    def __init__(
        self, status: int, code: str, message: str, *, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after = retry_after


class CannotListen(Exception):
    """Raised when the address to serve at cannot be had."""


def application(title: str, description: str) -> FastAPI:
    """Return an application without routes, whose errors all have the form of `ErrorBody`."""
    app = FastAPI(title=title, description=description, version="1", redoc_url=None, docs_url=None)

    @app.exception_handler(Refusal)
    async def refused(request: Request, refusal: Refusal) -> JSONResponse:
        after = refusal.retry_after
        headers = {} if after is None else {"Retry-After": str(after)}
        return _answer(refusal.status, refusal.code, str(refusal), headers)

    @app.exception_handler(HTTPException)
    async def unroutable(request: Request, error: HTTPException) -> JSONResponse:
        code = _CODES.get(error.status_code, "bad_request")
        return _answer(error.status_code, code, f"{error.detail}.", dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return _answer(422, "malformed", f"{place}: {first['msg']}.", {})

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> JSONResponse:
        # The server logs it.
        return _answer(500, "internal", "A mistake in this program; its log says more.", {})

    return app


async def bounded_body(request: Request, most: int) -> bytes:
    """Return the body; raise `Refusal` as soon as it is longer than `most` bytes, or too slow."""
    too_large = Refusal(413, "too_large", f"At most {most} bytes are read.")
    try:
        if int(request.headers.get("content-length", 0)) > most:
            raise too_large
    except ValueError:
        raise Refusal(400, "bad_request", "The Content-Length is no number.") from None
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise too_large
    except TimeoutError:
        raise Refusal(408, "too_slow", "The body did not arrive in time.") from None
    return bytes(body)


@contextmanager
def serving(app: FastAPI, host: str, port: int) -> Iterator[str]:
    """
    Serve `app` in a thread while the context lasts, and yield its URL; port 0 is any free one.

    Raises `CannotListen`.
    """
    try:
        listening = socket.create_server((host, port), backlog=MOST_CONNECTIONS)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CannotListen(f"Cannot listen on {host}:{port}: {reason}.") from None
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            http=_Impatient,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=ENDING_SECONDS,
        )
    )
    thread = threading.Thread(target=server.run, args=([listening],), name="http", daemon=True)
    with listening:
        thread.start()
        try:
            yield f"http://{host}:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


class _Impatient(H11Protocol):
    """Closes a connection on which nothing was asked for a while, so that nobody can hold many."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._next_look = self.loop.call_later(HEADER_SECONDS, self._look, None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._next_look.cancel()
        super().connection_lost(exc)

    def _look(self, last_request: object) -> None:
        """Close unless a request was begun since the last look, or is being answered."""
        if self.cycle is last_request and (self.cycle is None or self.cycle.response_complete):
            self.transport.close()
        else:
            self._next_look = self.loop.call_later(HEADER_SECONDS, self._look, self.cycle)


def _answer(status: int, code: str, message: str, headers: dict[str, str]) -> JSONResponse:
    body = ErrorBody(error=ErrorDetail(code=code, message=message))
    return JSONResponse(body.model_dump(), status, headers)
