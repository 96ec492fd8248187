"""What the witness does: `python -m app.delivery.testimony CHANNEL`, a process of its own beside each sender.

A killed sender takes its connections with it, and the answers that were on their way to it: those
letters are in doubt, and sent twice or held. So another process holds the same connections, and
nothing else: it reads nothing as long as its sender lives. When the channel between them ends, it
looks in the sender's file for messages whose final dot was written and that were not answered,
reads what the server says to them, and writes it into the file, where whoever relieves the sender
looks anyway. A secured connection cannot be held so: its keys died with the sender.

What the sender had read but not yet written down is never mistaken: the file says how many replies
were to come from the final dot on, and where fewer come, nothing is known.
"""

import contextlib
import os
import selectors
import signal
import socket
import sys
from datetime import datetime
from pathlib import Path

from app.clock import Clock, SystemClock
from app.delivery.answers_file import Claim, answered_line, header, parse
from app.mail.replies import CLOSING, Answer, Garbage, ReplyReader, reply
from app.mail.terms import DEFAULT_PATIENCE

FILE, HOLD, LET_GO = b"F", b"H", b"L"
"""What a message on the channel begins with; a path or a connection's number follows."""
_LONGEST = 4097  # bytes; the longest path
_PACKET = 65_536


class _Ear:
    """Listens on one connection for the answer to one message."""

    def __init__(self, claim: Claim, replies: int) -> None:
        self.claim = claim
        self._expected = replies
        self._reader = ReplyReader()
        self._heard: list[Answer] = []

    def listen(self, descriptor: int) -> bool:
        """Take what has come, and return whether more may follow."""
        try:
            packet = os.read(descriptor, _PACKET)
            for answer in self._reader.feed(packet):
                if answer[0] == CLOSING:
                    return False
                self._heard.append(answer)
        except BlockingIOError:
            return True
        except (OSError, Garbage):
            return False
        return bool(packet) and len(self._heard) < self._expected

    @property
    def answer(self) -> Answer | None:
        """What was said to the message; None where it cannot be known."""
        kinds = [code // 100 for code, _ in self._heard]
        if len(kinds) != self._expected or 3 in (kinds[:-1] or kinds):
            return None
        # The last of several is to DATA: a server that waited in vain for a text may take its leave by 451, too.
        return None if kinds[1:] and kinds[-1] == 4 else self._heard[0]


def hold(channel: socket.socket) -> tuple[Path, dict[int, int]]:
    """Hold what the sender gives us until it is gone; return its file, and the connections by their numbers."""
    path, held = Path(os.devnull), dict[int, int]()
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, _LONGEST, 1)
        word, value = message[:1], message[1:]
        if word == FILE:
            path = Path(os.fsdecode(value))
        elif word == HOLD:
            held[int(value)] = descriptors[0]
        elif word == LET_GO:
            os.close(held.pop(int(value)))
        else:
            return path, held


def hear(path: Path, held: dict[int, int], clock: Clock, patience: float) -> None:
    """Write into the file what the server says on these connections, for so many seconds at most; close them."""
    unanswered = _unanswered(path)
    with selectors.DefaultSelector() as selector:
        for connection, descriptor in held.items():
            if connection in unanswered:
                selector.register(descriptor, selectors.EVENT_READ, unanswered[connection])
            else:
                os.close(descriptor)
        ends_at = clock.monotonic() + patience
        while selector.get_map() and (left := ends_at - clock.monotonic()) > 0:
            for key, _ in selector.select(left):
                if not key.data.listen(key.fd):
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    _testify(path, key.data, clock.now())


def _unanswered(path: Path) -> dict[int, _Ear]:
    """Return what is to be heard on which connection."""
    lines = parse(path.read_bytes())
    left = ((claim, expected) for claim, expected in lines.begun.items() if claim not in lines.answers)
    return {expected.connection: _Ear(claim, expected.replies) for claim, expected in left}


def _testify(path: Path, ear: _Ear, at: datetime) -> None:
    """Append a line, whole; the file is made anew where it was read and taken away meanwhile."""
    if answer := ear.answer:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        line = answered_line(ear.claim, at, reply(answer, "body"))
        os.write(file, (line if os.fstat(file).st_size else header() + line).encode())
        os.close(file)


def main() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a service manager means the sender, and we end with it
    path, held = hold(socket.socket(fileno=int(sys.argv[1])))
    with contextlib.suppress(OSError):  # without the file, or a disk that takes it, there is nothing to do
        hear(path, held, SystemClock(), DEFAULT_PATIENCE.answer)


if __name__ == "__main__":
    main()
