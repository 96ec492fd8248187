"""One line in the log for every request, and an answer where a page broke."""

import time
import traceback
from http import HTTPStatus

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.web.problems import problem

_log = structlog.get_logger()


class Journal:
    """Logs method, route, status and time; never a path, for ours hold tokens (P12).

    It stands inside SecurityHeaders, so that the answer to a broken page has them too. HEAD is
    answered as GET without the body, which every page would have to say for itself otherwise.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0
        is_head = scope["method"] == "HEAD"
        inner = scope | {"method": "GET"} if is_head else scope

        async def noting_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message | {"body": b""} if is_head and message["type"] == "http.response.body" else message)

        try:
            await self._app(inner, receive, noting_send)
        except ClientDisconnect:
            pass  # nobody is there to read an answer; the line below says so with status 0
        except Exception as error:
            _log.error("page broke", method=scope["method"], route=_route(inner), **_whereabouts(error))
            if not status:
                await problem(Request(inner), HTTPStatus.INTERNAL_SERVER_ERROR)(inner, receive, noting_send)
        milliseconds = round((time.perf_counter() - started) * 1000, 1)
        _log.info("request", method=scope["method"], route=_route(inner), status=status, ms=milliseconds)


def _route(scope: Scope) -> str:
    return getattr(scope.get("route"), "name", None) or "-"


def _whereabouts(error: BaseException) -> dict[str, object]:
    """Return what an error is and where; not its text, which may quote what somebody wrote."""
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "error": type(error).__qualname__,
        "at": [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames[-8:]],
    }
