"""A process beside this one that hears the mail server out where we are killed (see `testimony`)."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import structlog

from app.delivery import testimony

log = structlog.get_logger()
_SOURCE = Path(__file__).parents[2]
_LEAVE_TAKING = 5.0  # seconds; it has nothing left to do when it is told


class Witness:
    """Implements mail's Witness. The process starts with the first connection that it is to hold.

    It is a help and no condition: where it cannot be had, a kill leaves more in doubt, and that is all.
    """

    def __init__(self) -> None:
        self._path: Path | None = None
        self._channel: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._missing = False
        self._held = 0

    @property
    def pid(self) -> int | None:
        """The process, as long as there is one."""
        return self._process.pid if self._process else None

    def write_to(self, path: Path) -> None:
        """Say which file the answers belong in."""
        self._path = path
        self._tell(testimony.FILE, os.fsencode(path))

    def hold(self, descriptor: int) -> int:
        """See mail's Witness. Without a file there is nobody to hear it for."""
        if self._path and not (self._channel or self._missing):
            self._start(self._path)
        self._held += 1
        self._tell(testimony.HOLD, b"%d" % self._held, descriptor)
        return self._held if self._channel else 0

    def let_go(self, connection: int) -> None:
        """See mail's Witness."""
        self._tell(testimony.LET_GO, b"%d" % connection)

    async def close(self) -> None:
        """Let it end: no connection is open any more."""
        process, self._process = self._process, None
        self._give_up()
        if process:
            await asyncio.to_thread(_ended, process)

    def _start(self, path: Path) -> None:
        try:
            self._channel, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
            self._channel.setblocking(False)
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - ourselves
                    (sys.executable, "-P", "-m", testimony.__name__, str(theirs.fileno())),
                    pass_fds=[theirs.fileno()],
                    env={"PYTHONPATH": str(_SOURCE)},  # and none of our secrets
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,  # what is typed at our terminal is not for it
                )
        except OSError as error:
            self._miss(error)
        self._tell(testimony.FILE, os.fsencode(path))

    def _tell(self, word: bytes, value: bytes, *descriptors: int) -> None:
        if self._channel:
            try:
                socket.send_fds(self._channel, [word + value], descriptors)
            except OSError as error:
                self._miss(error)

    def _miss(self, error: OSError) -> None:
        log.warning("no witness hears the mail server for us; a kill leaves more in doubt", error=error.strerror)
        self._missing = True
        if self._process:  # or it would take the channel's end for ours, and the answers from us
            self._process.kill()
            self._process.wait()
        self._give_up()

    def _give_up(self) -> None:
        if self._channel:
            self._channel.close()
            self._channel = None


def _ended(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait(_LEAVE_TAKING)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
