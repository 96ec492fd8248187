"""The witness as a process: it holds connections, and speaks when its sender is gone."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from app.delivery.answers_file import begun_line, header, path_of
from app.delivery.remains import read
from app.delivery.witness import Witness
from app.mail.envelope import Expected
from tests.sending import TAKEN

pytestmark = pytest.mark.anyio
WORKER = uuid4()
ONE = (1, uuid4())


@pytest.fixture
async def witness(tmp_path: Path) -> AsyncIterator[Witness]:
    witness = Witness()
    witness.write_to(path_of(tmp_path, WORKER))
    yield witness
    await witness.close()


def _connection() -> tuple[socket.socket, socket.socket]:
    server, ours = socket.socketpair()
    server.settimeout(60)
    ours.setblocking(False)
    return server, ours


def _is_up(witness: Witness) -> None:
    """Wait until it does what it is told."""
    server, ours = _connection()
    with server:
        number = witness.hold(ours.fileno())
        ours.close()
        witness.let_go(number)
        assert server.recv(1) == b""


async def test_a_connection_outlives_its_sender_until_it_is_answered(witness: Witness, tmp_path: Path) -> None:
    server, ours = _connection()
    number = witness.hold(ours.fileno())
    path_of(tmp_path, WORKER).write_text(header() + begun_line(ONE, Expected(number)))
    _is_up(witness)
    with server:
        ours.close()
        assert witness.pid
        os.kill(witness.pid, signal.SIGTERM)  # as a service manager does, to all processes of a service
        server.send(b"250 2.0.0 taken\r\n")
        await witness.close()
        assert server.recv(1) == b""
    remains = read(tmp_path, WORKER)
    assert remains
    assert remains.answers[ONE].reply == TAKEN


async def test_what_its_sender_closes_is_closed(witness: Witness) -> None:
    _is_up(witness)


async def test_taken_for_dead_its_sender_goes_on_in_another_file(witness: Witness, tmp_path: Path) -> None:
    server, ours = _connection()
    number = witness.hold(ours.fileno())
    again = uuid4()
    witness.write_to(path_of(tmp_path, again))
    path_of(tmp_path, again).write_text(header() + begun_line(ONE, Expected(number)))
    with server, ours:
        server.send(b"250 2.0.0 taken\r\n")
        await witness.close()
    remains = read(tmp_path, again)
    assert remains
    assert ONE in remains.answers


async def test_without_it_letters_go_all_the_same(witness: Witness) -> None:
    server, ours = _connection()
    with server, ours:
        assert witness.hold(ours.fileno()) == 1
        assert witness.pid
        os.kill(witness.pid, signal.SIGKILL)
        await asyncio.to_thread(os.waitid, os.P_PID, witness.pid, os.WEXITED | os.WNOWAIT)
        assert witness.hold(ours.fileno()) == 0
        assert witness.hold(ours.fileno()) == 0
        witness.let_go(1)


async def test_who_does_not_follow_any_more_takes_no_answer_from_a_sender_that_lives(
    witness: Witness, tmp_path: Path
) -> None:
    server, ours = _connection()
    number = witness.hold(ours.fileno())
    path_of(tmp_path, WORKER).write_text(header() + begun_line(ONE, Expected(number)))
    _is_up(witness)
    assert witness.pid
    os.kill(witness.pid, signal.SIGSTOP)
    while witness.hold(ours.fileno()):  # until the channel is full
        pass
    with contextlib.suppress(ProcessLookupError):
        os.kill(witness.pid, signal.SIGCONT)
    server.send(b"250 2.0.0 taken\r\n")
    await witness.close()
    with server, ours:
        assert ours.recv(100) == b"250 2.0.0 taken\r\n"


async def test_where_there_is_no_file_there_is_no_process() -> None:
    witness = Witness()
    server, ours = _connection()
    with server, ours:
        assert witness.hold(ours.fileno()) == 0
    assert witness.pid is None
    await witness.close()
