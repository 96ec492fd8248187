"""What logs of mail servers say was received (docs/standards.md, S12)."""

import bz2
import gzip
import io
import lzma
import sys
import tarfile
import time
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.cli.log_files import received
from app.domain.mail_log import MailLog
from app.errors import MailboxError
from tests.mail_logs import BOUNCED, BROKEN, EXCHANGE, EXIM, LOGS, OTHER, POSTFIX, TAKEN, bsd

each_log = pytest.mark.parametrize("lines", [lines() for lines in LOGS.values()], ids=LOGS)


def named(lines: Iterable[str]) -> list[str]:
    log = MailLog()
    for line in lines:
        log.read(line)
    return list(log.received())


@each_log
def test_what_was_refused_or_begun_or_bounced_was_not_received(lines: list[str]) -> None:
    assert named(lines) == [f"<{TAKEN}>"]


@each_log
def test_read_twice_it_says_the_same(lines: list[str]) -> None:
    assert named([*lines, *lines]) == [f"<{TAKEN}>"]


@pytest.mark.parametrize("cut", range(1, len(POSTFIX)))
def test_rotated_files_may_come_newest_first(cut: int) -> None:
    assert named([*bsd()[cut:], *bsd()[:cut]]) == [f"<{TAKEN}>"]


def test_a_short_key_of_postfix_may_be_used_again() -> None:
    lines = bsd()
    again = [line.replace(BROKEN, OTHER) for line in lines if "zMl8f" in line]
    done = lines[5].replace("4jWwdy0b23zMkrF", "4jWwdQ5Qx3zMl8f")
    assert set(named([*lines, *again, done])) == {f"<{TAKEN}>", f"<{OTHER}>"}


def test_what_was_taken_in_the_end_was_received() -> None:
    refused = [line.replace("4jWwdB0b23zMkrH", "4jWwdC0b23zMkrH") for line in bsd()[:8] if "4jWwdB" in line]
    assert set(named([*bsd(), *refused])) == {f"<{TAKEN}>", f"<{BOUNCED}>"}


@each_log
@pytest.mark.parametrize(
    "pack",
    [bytes, gzip.compress, lzma.compress, bz2.compress],
    ids=["plain", "gz", "xz", "bz2"],
)
def test_it_may_be_packed(tmp_path: Path, lines: list[str], pack: Callable[[bytes], bytes]) -> None:
    log = tmp_path / "log"
    log.write_bytes(pack("\n".join(lines).encode()))
    assert list(received(log)) == [f"<{TAKEN}>"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_it_may_be_in_another_encoding(tmp_path: Path, encoding: str) -> None:
    log = tmp_path / "log"
    log.write_bytes("\r\n".join(EXCHANGE).encode(encoding))
    assert list(received(log)) == [f"<{TAKEN}>"]


MESSAGE = (
    f"Received: from here\n\tby there; <{BROKEN}>\nMessage-ID:\n <{TAKEN}>\nSubject: x\n\nMessage-ID: <{BROKEN}>\n"
)


def test_messages_are_read_by_their_headers(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "1.eml").write_text(MESSAGE)
    (tmp_path / "mbox").write_text(f"From x Mon Nov 30\n{MESSAGE}\nFrom y Mon Nov 30\nMessage-Id: <{OTHER}>\n\nhello\n")
    (tmp_path / "log.2.gz").write_bytes(gzip.compress("\n".join(EXCHANGE).encode()))
    (tmp_path / "empty").touch()
    assert sorted(received(tmp_path)) == sorted([f"<{TAKEN}>", f"<{OTHER}>"])


@pytest.mark.parametrize("packed", [False, True])
def test_standard_input_may_be_a_log_or_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, packed: bool
) -> None:
    (tmp_path / "1.eml").write_text(MESSAGE)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz" if packed else "w") as tar:
        tar.add(tmp_path, ".")
    for given in (archive.getvalue(), "\n".join(EXIM).encode()):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(given))))
        assert list(received(Path("-"))) == [f"<{TAKEN}>"]


def test_a_log_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(MailboxError, match="nowhere"):
        received(tmp_path / "nowhere")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"x" * 99)[:-9])
    with pytest.raises(MailboxError, match=r"cut\.gz"):
        received(tmp_path / "cut.gz")


@pytest.mark.parametrize(
    "piece", ["x", "a: ", "id=", "message-id=<", "1 <= ", '"a",', "amavis[1]: Passed ", '{"msg_id":"a"', "[1]: a: to=<"]
)
def test_long_lines_cost_little(tmp_path: Path, piece: str) -> None:
    log = tmp_path / "log"
    line = piece * (1_000_000 // len(piece))
    log.write_text(f"{line}\n{line * 3}\n{EXIM[0]}\n")
    started = time.process_time()
    assert list(received(log)) == [f"<{TAKEN}>"]
    assert time.process_time() - started < 2


def test_other_peoples_messages_take_no_memory() -> None:
    log = MailLog()
    tracemalloc.start()
    try:
        for number in range(150_000):
            log.read(f"Nov 21 post postfix/cleanup[1]: Q{number}: message-id=<{number}@else.example>")
            log.read(f"Nov 21 post postfix/qmgr[1]: Q{number}: from=<x@else.example>, size=1, nrcpt=1")
            log.read(f"Nov 21 post sendmail[1]: S{number}: to=<x@else.example>, dsn=5.1.1")
        assert tracemalloc.get_traced_memory()[0] < 120e6
    finally:
        tracemalloc.stop()
