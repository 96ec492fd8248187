"""A time limit for every request."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LONGEST = 10.0  # seconds from the end of a request to the head of its answer


class Deadline:
    """Cancels a response that takes too long to begin, as a TimeoutError. The body may take longer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        now, answered = asyncio.get_running_loop().time, False

        async def noting_receive() -> Message:
            message = await receive()
            if not answered and not message.get("more_body"):
                limit.reschedule(now() + _LONGEST)
            return message

        async def noting_send(message: Message) -> None:
            nonlocal answered
            if not answered:
                answered = True
                limit.reschedule(None)
            await send(message)

        async with asyncio.timeout(_LONGEST if scope["method"] == "GET" else None) as limit:
            await self._app(scope, noting_receive, noting_send)
