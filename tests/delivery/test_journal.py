"""What a worker's journal tells after a kill, and what it must not tell."""

import os
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from app.delivery import journal as module
from app.delivery.journal import Journal, JournalContents, RecordedReply, orphaned_journals, path_of, read_journal
from app.domain.retry import Reply
from tests.clock import NEW_YEAR as NOW
from tests.sending import TAKEN

ONE, OTHER, THIRD = (1, uuid4()), (2, uuid4()), (3, uuid4())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "var" / "journal"


@pytest.fixture
def worker() -> UUID:
    return uuid4()


@pytest.fixture
def killed(folder: Path, worker: UUID) -> Journal:
    """Open a file whose lock nobody holds, as a kill leaves it, once `close` was called."""
    journal = Journal(folder)
    journal.open(worker)
    return journal


def test_what_was_begun_and_what_was_answered(killed: Journal, folder: Path, worker: UUID) -> None:
    refused = Reply(451, "4.7.1", "try\nlater, <minji@x.test>\ud800", "body")
    for claim in (ONE, OTHER, THIRD):
        killed.begin(claim)
    killed.answered(ONE, NOW, TAKEN)
    killed.answered(OTHER, NOW, refused)
    killed.close(delete=False)
    contents = read_journal(folder, worker)
    assert contents
    assert contents.begun == {ONE, OTHER, THIRD}
    assert contents.replies == {
        ONE: RecordedReply(NOW, TAKEN),
        OTHER: RecordedReply(NOW, Reply(451, "4.7.1", "try later, <[address]> ", "body")),
    }
    assert contents.complete
    assert oct(path_of(folder, worker).stat().st_mode)[-3:] == "600"


def test_incomplete_lines_and_garbage_are_skipped(killed: Journal, folder: Path, worker: UUID) -> None:
    killed.begin(ONE)
    killed.answered(ONE, NOW, TAKEN)
    killed.close(delete=False)
    path = path_of(folder, worker)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    torn = read_journal(folder, worker)
    path.write_bytes(b"\0" * 4096 + whole[60:] + b"\xff\n2 \n")
    garbage = read_journal(folder, worker)
    assert torn
    assert torn == JournalContents(begun=frozenset([ONE]), replies={}, complete=True)
    assert garbage
    assert not garbage.complete


def test_a_file_is_not_complete_while_its_worker_runs(killed: Journal, folder: Path, worker: UUID) -> None:
    alive = read_journal(folder, worker)
    assert alive
    assert not alive.complete
    assert orphaned_journals(folder, []) == set()
    killed.close(delete=False)
    dead = read_journal(folder, worker)
    assert dead
    assert dead.complete
    assert orphaned_journals(folder, []) == {worker}
    assert orphaned_journals(folder, [worker]) == set()


def test_a_file_from_before_the_last_boot_is_not_complete(
    killed: Journal, folder: Path, worker: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed.begin(ONE)
    killed.close(delete=False)
    for boot in ("another", ""):
        monkeypatch.setattr("app.delivery.journal._boot_id", lambda boot=boot: boot)
        contents = read_journal(folder, worker)
        assert contents
        assert contents == JournalContents(begun=frozenset([ONE]), replies={}, complete=False)


def test_a_large_file_is_rewritten_without_what_is_settled(
    killed: Journal, folder: Path, worker: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_SIZE", 1000)
    killed.begin(OTHER)
    for delivery in range(10, 1000):
        claim = (delivery, uuid4())
        killed.begin(claim)
        killed.answered(claim, NOW, TAKEN)
        killed.forget([delivery])
        assert path_of(folder, worker).stat().st_size < 1200
    assert orphaned_journals(folder, []) == set()  # the new file is locked like the first
    killed.answered(OTHER, NOW, TAKEN)
    killed.close(delete=False)
    contents = read_journal(folder, worker)
    assert contents
    assert contents.replies[OTHER] == RecordedReply(NOW, TAKEN)
    assert contents.complete


def test_a_recovered_worker_continues_under_a_new_id(killed: Journal, folder: Path, worker: UUID) -> None:
    killed.begin(ONE)
    again = uuid4()
    killed.open(again)
    killed.answered(ONE, NOW, TAKEN)
    killed.close(delete=False)
    assert read_journal(folder, worker) is None
    contents = read_journal(folder, again)
    assert contents
    assert contents.replies == {ONE: RecordedReply(NOW, TAKEN)}


def test_where_the_disk_fails_there_is_no_file_until_it_works_again(
    killed: Journal, folder: Path, worker: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed.begin(ONE)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda _file, _bytes: 0)
        killed.begin(OTHER)
        killed.reopen()
        assert list(folder.iterdir()) == []
    killed.begin(THIRD)
    killed.reopen()
    killed.close(delete=False)
    contents = read_journal(folder, worker)
    assert contents
    assert contents.begun == {ONE, OTHER, THIRD}


def test_a_worker_that_leaves_in_order_leaves_nothing(killed: Journal, folder: Path) -> None:
    killed.begin(ONE)
    killed.close(delete=True)
    assert list(folder.iterdir()) == []
