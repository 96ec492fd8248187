"""Visitors over kept connections, lighter than the server they measure."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from itertools import cycle
from typing import Any, TypeVar, cast
from urllib.parse import urlencode

import uvloop

_CONNECTIONS = 20
_WARM, _TIMES = 3, 20
_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = b"content-length: "
T = TypeVar("T")


class Visitor(asyncio.Protocol):
    """One connection: a request, its whole answer, the next request."""

    def __init__(self) -> None:
        self._read = b""
        self._answer: asyncio.Future[bytes] | None = None
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, end, body = self._read.partition(_END_OF_HEAD)
        if end and len(body) >= _length(head) and self._answer:
            self._read = b""
            self._answer.set_result(head)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("the server closed the connection"))

    async def ask(self, request: bytes) -> bytes:
        """Return the answer's status line and headers."""
        assert self._transport
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        if self._transport:
            self._transport.close()


def get(path: str, **headers: str) -> bytes:
    """Return a request as a browser sends it."""
    return _head("GET", path, headers) + b"\r\n"


def post(path: str, values: Mapping[str, str], **headers: str) -> bytes:
    """Return a form as a browser sends it."""
    body = urlencode(values).encode()
    form = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(body))}
    return _head("POST", path, form | headers) + b"\r\n" + body


def hurry(port: int, requests: Iterable[bytes], status: int) -> float:
    """Send these as fast as they are answered; return how many a second. Each must be answered with `status`."""
    return _run(lambda: _hurry(port, list(requests), status))


def stroll(port: int, requests: Sequence[bytes], every: float, enough: Callable[[int], bool]) -> list[float]:
    """Send the next request `every` so many seconds, answered or not; return the seconds that each answer took.

    They count from when it should have left: a server that stands still makes all wait that come meanwhile.
    """
    return _run(lambda: _stroll(port, requests, every, enough))


def repeat(port: int, request: bytes) -> list[float]:
    """Send a request again and again, each after the last one's answer; return the seconds that each answer took."""
    took = []
    for _ in range(_WARM + _TIMES):
        begun = time.perf_counter()
        answer = ask(port, request)
        took.append(time.perf_counter() - begun)
        assert answer.startswith(b"HTTP/1.1 200"), (request, answer)
    return took[_WARM:]


def ask(port: int, request: bytes) -> bytes:
    """Send one request; return the head of its answer."""

    async def once() -> bytes:
        async with _connected(port, 1) as (visitor,):
            return await visitor.ask(request)

    return _run(once)


def header(answer: bytes, name: str) -> str:
    """Return a header of an answer's head, or an empty string."""
    lines = (line.partition(": ") for line in answer.decode().split("\r\n")[1:])
    return next((value for field, _, value in lines if field.lower() == name), "")


async def _hurry(port: int, requests: list[bytes], status: int) -> float:
    waiting = iter(requests)

    async def send(visitor: Visitor) -> None:
        for request in waiting:
            answer = await visitor.ask(request)
            assert answer.startswith(b"HTTP/1.1 %d" % status), answer

    async with _connected(port, _CONNECTIONS) as visitors:
        started = time.perf_counter()
        await asyncio.gather(*map(send, visitors))
        return len(requests) / (time.perf_counter() - started)


async def _stroll(port: int, requests: Sequence[bytes], every: float, enough: Callable[[int], bool]) -> list[float]:
    took: list[float] = []
    coming = cycle(requests)

    async def send(visitor: Visitor, request: bytes, due: float) -> None:
        answer = await visitor.ask(request)
        took.append(time.perf_counter() - due)
        assert answer.startswith(b"HTTP/1.1 200"), answer
        free.append(visitor)  # last in line: a connection that rests for 5 s is closed

    async with _connected(port, _CONNECTIONS) as visitors, asyncio.TaskGroup() as group:
        free = deque(visitors)
        due = time.perf_counter()
        while not enough(len(took)):
            if free:
                group.create_task(send(free.popleft(), next(coming), due))
                due += every
            await asyncio.sleep(max(0.001, due - time.perf_counter()))
    return took


@contextlib.asynccontextmanager
async def _connected(port: int, count: int) -> AsyncIterator[list[Visitor]]:
    loop = asyncio.get_running_loop()
    visitors = [(await loop.create_connection(Visitor, "127.0.0.1", port))[1] for _ in range(count)]
    try:
        yield visitors
    finally:
        for visitor in visitors:
            visitor.close()


def _run(question: Callable[[], Coroutine[Any, Any, T]]) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(question())


def _head(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    lines = {"Host": "127.0.0.1", "Accept-Language": "ko-KR,ko;q=0.9,en;q=0.8", **headers}
    return f"{method} {path} HTTP/1.1\r\n".encode() + b"".join(f"{k}: {v}\r\n".encode() for k, v in lines.items())


def _length(head: bytes) -> int:
    return int(head.lower().partition(_LENGTH)[2].partition(b"\r\n")[0] or 0)
