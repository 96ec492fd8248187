"""`slow-mailbox scan`, and SIGKILL at a chosen point: `python -m tests.acceptance.kills`.

Reads the names of points, a line each. For each a child scans and ends itself by SIGKILL there;
the number of the signal that ended it is printed. Forked, so that Python starts but once.
"""

import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from app.cli import cli
from app.delivery.journal import Journal
from app.mail.smtp.replies import ReplyLines, ReplyReader
from app.store import claims, settlements

Statement = Callable[..., Awaitable[Any]]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _before(statement: Statement) -> Statement:
    async def dying(*args: object, **options: object) -> object:
        die()
        return await statement(*args, **options)

    return dying


def _after(statement: Statement) -> Statement:
    async def dying(*args: object, **options: object) -> object:
        outcome = await statement(*args, **options)
        if outcome:  # an empty claim does not count
            die()
        return outcome

    return dying


def _right_after(call: Callable[..., None]) -> Callable[..., None]:
    def dying(*args: object) -> None:
        call(*args)
        die()

    return dying


def _at_the_last_reply(feed: Callable[[ReplyReader, bytes], Iterator[ReplyLines]]) -> Any:
    def dying(reader: ReplyReader, packet: bytes) -> Iterator[ReplyLines]:
        if b"taken" in packet:  # the test server's reply to the final dot: received, and not yet parsed
            die()
        return feed(reader, packet)

    return dying


POINTS: dict[str, tuple[Any, str, Callable[[Any], Any]]] = {
    "after the claim": (claims, "claim", _after),
    "before the hand-over": (claims, "hand_over", _before),
    "after the hand-over": (claims, "hand_over", _after),
    "before the first byte": (Journal, "begin", _right_after),
    "after the final dot": (ReplyReader, "feed", _at_the_last_reply),
    "after the answer": (Journal, "answered", _right_after),
    "before the settle": (settlements, "settle", _before),
    "after the settle": (settlements, "settle", _after),
    "before the claim": (claims, "claim", _before),
}


def _scan_and_die(point: str) -> None:
    owner, name, dying = POINTS[point]
    setattr(owner, name, dying(getattr(owner, name)))
    cli(["scan"], standalone_mode=False)


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _scan_and_die(line.strip())
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
