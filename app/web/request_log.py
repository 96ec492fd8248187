"""One log line for every request, and the response to an unhandled error."""

import traceback
from http import HTTPStatus
from secrets import token_hex

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.clock import Clock
from app.store.database import is_unavailable
from app.web.error_pages import error_response
from app.web.pages import REQUEST

_FRAMES = 8
_log = structlog.get_logger()


class RequestLog:
    """Logs method, route, status and time; never a path, which may hold a token (P12).

    Inside SecurityHeaders, so that error responses have its headers, too. Answers HEAD as GET
    without the body. Everything that a request logs has the same `request_id`.
    """

    def __init__(self, app: ASGIApp, clock: Clock) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name = token_hex(8)
        with structlog.contextvars.bound_contextvars(**{REQUEST: name}):
            await self._answer(scope, receive, send, name)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, name: str) -> None:
        started = ended = self._clock.monotonic()
        status = 0
        is_head = scope["method"] == "HEAD"
        inner = {**scope, "method": "GET"} if is_head else scope

        async def noting_send(message: Message) -> None:
            nonlocal status, ended
            if message["type"] == "http.response.start":
                status = int(message["status"])
            elif is_head:
                message = {**message, "body": b""}
            await send(message)
            ended = self._clock.monotonic()

        try:
            await self._app(inner, receive, noting_send)
        except ClientDisconnect:
            pass  # the client has gone; the line below has status 0
        except Exception as error:  # noqa: BLE001 - the last resort: whatever broke gets an answer
            log_error(error, _route(inner))
            if not status:
                await _error_response(error, Request(inner))(inner, receive, noting_send)
        milliseconds = round((ended - started) * 1000, 1)  # without what runs behind the answer
        facts = {"method": scope["method"], "route": _route(inner), "status": status, "ms": milliseconds}
        _log.info("request", **facts, **{REQUEST: name})  # what ran behind the answer has let go of the name


def _route(scope: Scope) -> str:
    return getattr(scope.get("route"), "name", None) or "-"


def log_error(error: BaseException, route: str) -> None:
    """Log an error's type and place, not its text, which may quote a letter."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    at = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
    event = "store unavailable" if is_unavailable(error) else "page broke"
    _log.error(event, route=route, error=type(error).__qualname__, at=at)


def _error_response(error: BaseException, request: Request) -> Response:
    away = is_unavailable(error)
    return error_response(request, HTTPStatus.SERVICE_UNAVAILABLE if away else HTTPStatus.INTERNAL_SERVER_ERROR)
