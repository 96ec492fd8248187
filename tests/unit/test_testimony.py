"""What a witness understands of the answers that its sender did not live to read."""

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from app.delivery.answers_file import Answer, Claim, answered_line, begun_line, header, path_of
from app.delivery.remains import read
from app.delivery.testimony import hear
from app.domain.retry import Reply
from app.mail.envelope import Expected
from tests.clock import NEW_YEAR, FrozenClock
from tests.sending import TAKEN

PATIENCE = 600.0
WORKER = uuid4()
ONE: Claim = (1, UUID(int=1))
OTHER: Claim = (2, UUID(int=2))
ALONE, WITH_THE_NEXT = Expected(7, 1), Expected(7, 4)
SAID = b"250 2.0.0 taken\r\n"
NEXT = b"250 2.1.0 sender\r\n250 2.1.5 reader\r\n354 go ahead\r\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return path_of(tmp_path, WORKER)


def _heard(path: Path, expected: Expected, *said: bytes) -> dict[Claim, Answer]:
    """Return what stands in the file after the server has said this and hung up."""
    path.write_text(header() + begun_line(ONE, expected))
    server, ours = socket.socketpair()
    for packet in said:
        server.send(packet)
    server.close()
    hear(path, {expected.connection: ours.detach()}, FrozenClock(), PATIENCE)
    remains = read(path.parent, WORKER)
    assert remains
    assert remains.whole
    return remains.answers


@pytest.mark.parametrize(
    ("expected", "said", "reply"),
    [
        (ALONE, SAID, TAKEN),
        (WITH_THE_NEXT, SAID + NEXT, TAKEN),
        (ALONE, b"250-2.0.0 taken\r\n250 2.0.0 as 4711\r\n", Reply(250, "2.0.0", "taken as 4711", "body")),
        (ALONE, b"552 5.2.2 full\r\n", Reply(552, "5.2.2", "full", "body")),
        (WITH_THE_NEXT, SAID + b"250 2.1.0 sender\r\n550 5.1.1 reader\r\n503 5.5.1 no reader\r\n", TAKEN),
        (WITH_THE_NEXT, b"451 4.3.0 later\r\n" + NEXT, Reply(451, "4.3.0", "later", "body")),
    ],
)
def test_the_first_of_the_expected_replies_is_written_down(
    path: Path, expected: Expected, said: bytes, reply: Reply
) -> None:
    assert _heard(path, expected, said) == {ONE: Answer(NEW_YEAR, reply)}


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        (WITH_THE_NEXT, NEXT),  # its sender had read the answer: the next letter's must not stand for it
        (WITH_THE_NEXT, NEXT + b"421 4.4.2 you are idle\r\n"),
        (WITH_THE_NEXT, NEXT + b"451 4.7.0 Timeout waiting for client input\r\n"),
        (WITH_THE_NEXT, NEXT + b"500 5.5.1 what?\r\n"),
        (WITH_THE_NEXT, b"250 2.1.0 sender\r\n550 5.1.1 reader\r\n503 5.5.1 no reader\r\n451 4.4.2 timeout\r\n"),
        (ALONE, b"421 4.3.2 going down\r\n"),
        (ALONE, SAID[:-1]),
        (ALONE, b"0 2.0.0 taken\r\n"),
        (ALONE, b"354 go ahead\r\n"),
        (WITH_THE_NEXT, SAID + b"HTTP/1.1 400\r\n"),
        (ALONE, SAID + b"250 2.0.0 something else\r\n"),
        (ALONE, b""),
    ],
)
def test_what_may_be_the_answer_to_something_else_is_not_written_down(
    path: Path, expected: Expected, said: bytes
) -> None:
    assert _heard(path, expected, said) == {}


def test_an_answer_in_pieces_is_put_together_and_others_are_let_go(path: Path) -> None:
    path.write_text(
        header() + begun_line(ONE, ALONE) + begun_line(OTHER, Expected(8)) + answered_line(OTHER, NEW_YEAR, TAKEN)
    )
    (server, ours), (idle, not_needed) = socket.socketpair(), socket.socketpair()
    with server, idle, ThreadPoolExecutor() as thread:
        hearing = thread.submit(hear, path, {7: ours.detach(), 8: not_needed.detach()}, FrozenClock(), PATIENCE)
        assert idle.recv(1) == b""  # it has looked, and what is answered needs nobody to listen
        for byte in SAID:
            server.send(bytes([byte]))
        hearing.result()
        assert server.recv(1) == b""
    remains = read(path.parent, WORKER)
    assert remains
    assert remains.answers == {ONE: Answer(NEW_YEAR, TAKEN), OTHER: Answer(NEW_YEAR, TAKEN)}


def test_an_answer_that_comes_when_the_file_was_taken_away_gets_one_of_its_own(path: Path) -> None:
    path.write_text(header() + begun_line(ONE, ALONE))
    (server, ours), (idle, not_needed) = socket.socketpair(), socket.socketpair()
    with server, idle, ThreadPoolExecutor() as thread:
        hearing = thread.submit(hear, path, {7: ours.detach(), 8: not_needed.detach()}, FrozenClock(), PATIENCE)
        idle.recv(1)
        path.unlink()  # who relieved its sender could not wait
        server.send(SAID)
        hearing.result()
    remains = read(path.parent, WORKER)
    assert remains
    assert remains.answers == {ONE: Answer(NEW_YEAR, TAKEN)}


def test_it_does_not_listen_for_ever(path: Path) -> None:
    path.write_text(header() + begun_line(ONE, ALONE))
    server, ours = socket.socketpair()
    with server:
        hear(path, {7: ours.detach()}, FrozenClock(), 0.0)
    remains = read(path.parent, WORKER)
    assert remains
    assert remains.answers == {}
