"""The outbox folder: complete files or none, and reading them."""

import asyncio
import email
import errno
import os
import re
import resource
import stat
from dataclasses import replace
from datetime import timedelta
from email import policy
from pathlib import Path

import pytest

from app.mail.envelope import ClaimLost, Envelope, Unanswered, Unavailable
from app.mail.outbox import Outbox
from tests.clock import NEW_YEAR, FrozenClock
from tests.unit.mails import COMPOSER, ENGLISH, KOREAN

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "var" / "outbox"


@pytest.fixture
def outbox(folder: Path, clock: FrozenClock) -> Outbox:
    return Outbox(folder, clock)


@pytest.fixture
def made_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def kept(folder: Path, pattern: str = "*") -> list[Path]:
    return sorted(folder.glob(pattern))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def envelope(number: int = 1) -> Envelope:
    return COMPOSER.compose(replace(KOREAN, message_id=f"<letter-{number}@example.org>"), NEW_YEAR)


class Ledger:
    """A hand-over that returns or raises `answer`, and records which files the folder held."""

    def __init__(self, folder: Path, answer: bool | Exception = True) -> None:
        self.seen: list[list[str]] = []
        self._folder = folder
        self._answer = answer

    async def hand_over(self) -> bool:
        self.seen.append(sorted(path.suffix for path in self._folder.iterdir()))
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


async def yes() -> bool:
    return True


async def test_a_mail_is_one_whole_file_named_after_time_and_message_id(outbox: Outbox, folder: Path) -> None:
    ledger = Ledger(folder)
    reply = await outbox.send(envelope(), ledger.hand_over)
    assert reply.accepted
    assert ledger.seen == [[".draft"]]
    (path,) = kept(folder)
    assert re.fullmatch(r"20260101T093000000000Z-letter-1-[0-9a-f]{8}\.eml", path.name)
    assert path.read_bytes() == envelope().message


async def test_only_the_owner_may_look(outbox: Outbox, folder: Path) -> None:
    await outbox.send(envelope(), yes)
    (path,) = kept(folder)
    assert mode(folder) == 0o700
    assert mode(path) == 0o600


@pytest.mark.usefixtures("made_folder")
async def test_the_file_and_then_its_name_are_on_the_disk_before_the_answer(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().suffix or "folder")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    await outbox.send(envelope(), yes)
    assert synced == [".draft", "folder"]


async def test_the_same_mail_again_is_a_second_file_even_at_the_same_moment(outbox: Outbox, folder: Path) -> None:
    await outbox.send(envelope(), yes)
    await outbox.send(envelope(), yes)
    assert len(kept(folder, "*-letter-1-*.eml")) == 2


async def test_a_lost_claim_leaves_nothing_behind(outbox: Outbox, folder: Path) -> None:
    with pytest.raises(ClaimLost):
        await outbox.send(envelope(), Ledger(folder, answer=False).hand_over)
    assert kept(folder) == []


async def test_an_unavailable_database_is_no_outage_of_the_outbox(outbox: Outbox, folder: Path) -> None:
    with pytest.raises(ConnectionRefusedError):
        await outbox.send(envelope(), Ledger(folder, answer=ConnectionRefusedError()).hand_over)
    assert kept(folder) == []


async def test_cancelling_during_the_hand_over_leaves_nothing_behind(outbox: Outbox, folder: Path) -> None:
    asked = asyncio.Event()

    async def never() -> bool:
        asked.set()
        return await asyncio.Future()

    sending = asyncio.create_task(outbox.send(envelope(), never))
    await asked.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert kept(folder) == []


async def test_a_folder_that_cannot_be_made_is_a_permanent_outage(tmp_path: Path, clock: FrozenClock) -> None:
    (tmp_path / "var").write_text("a file where the folder should be")
    ledger = Ledger(tmp_path)
    with pytest.raises(Unavailable, match="cannot be written to") as caught:
        await Outbox(tmp_path / "var" / "outbox", clock).send(envelope(), ledger.hand_over)
    assert caught.value.permanent
    assert ledger.seen == []


async def test_a_full_disk_is_a_permanent_outage(clock: FrozenClock, made_folder: Path) -> None:
    ledger = Ledger(made_folder)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(Unavailable, match=os.strerror(errno.EFBIG)) as caught:
            await Outbox(made_folder, clock).send(envelope(), ledger.hand_over)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.permanent
    assert ledger.seen == []
    assert kept(made_folder) == []


async def test_a_failed_rename_after_the_hand_over_is_an_outage(
    outbox: Outbox, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "rename", _refused)
    with pytest.raises(Unavailable):
        await outbox.send(envelope(), yes)
    assert kept(folder) == []


async def test_a_name_that_may_not_survive_a_power_cut_is_unanswered(
    outbox: Outbox, made_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.mail.outbox._sync", _refused)
    with pytest.raises(Unanswered):
        await outbox.send(envelope(), yes)
    assert len(kept(made_folder, "*.eml")) == 1


async def test_many_at_once_are_all_kept(outbox: Outbox, folder: Path) -> None:
    await asyncio.gather(*(outbox.send(envelope(number), yes) for number in range(50)))
    ids = {email.message_from_bytes(path.read_bytes())["Message-ID"] for path in kept(folder)}
    assert ids == {f"<letter-{number}@example.org>" for number in range(50)}


async def test_the_list_is_newest_first_and_no_longer_than_asked(outbox: Outbox, clock: FrozenClock) -> None:
    for number in range(4):
        await outbox.send(envelope(number), yes)
        clock.advance(timedelta(seconds=1))
    entries = outbox.entries(3)
    assert [entry.date for entry in entries] == [NEW_YEAR + timedelta(seconds=seconds) for seconds in (3, 2, 1)]
    assert {entry.subject for entry in entries} == {KOREAN.subject}
    assert {entry.recipient for entry in entries} == {"미나 <mina@example.com>"}


async def test_the_list_shows_neither_drafts_nor_other_files(outbox: Outbox, folder: Path) -> None:
    assert outbox.entries(10) == []
    await outbox.send(envelope(), yes)
    (folder / "20260101T093000000000Z-letter-2-00000000.draft").write_bytes(b"half")
    (folder / "notes.eml").write_bytes(b"Subject: not ours\r\n\r\n")
    assert len(outbox.entries(10)) == 1


async def test_a_mail_deleted_meanwhile_is_left_out(
    outbox: Outbox, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await outbox.send(envelope(), yes)
    (path,) = kept(folder)
    listed = kept(folder)
    path.unlink()
    monkeypatch.setattr(Path, "iterdir", lambda _: iter(listed))
    assert outbox.entries(10) == []


async def test_a_mail_is_read_as_its_reader_gets_it(outbox: Outbox) -> None:
    await outbox.send(COMPOSER.compose(ENGLISH, NEW_YEAR), yes)
    mail = outbox.read(outbox.entries(1)[0].name)
    assert mail.subject == ENGLISH.subject
    assert ("To", "Mina <mina@example.com>") in mail.headers
    assert ENGLISH.body in mail.text.replace("\r\n", "\n")
    assert "<!DOCTYPE html>" in mail.html


async def test_a_mail_without_a_message_id_has_a_name_too(outbox: Outbox, folder: Path) -> None:
    message = email.message.EmailMessage(policy.SMTP)
    message.set_content("bare")
    await outbox.send(Envelope("", "a@example.org", message.as_bytes()), yes)
    assert len(kept(folder, "*-unknown-*.eml")) == 1
    (entry,) = outbox.entries(1)
    assert (entry.recipient, entry.subject, outbox.read(entry.name).html) == ("", "", "")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "../mailbox.db",
        "/etc/passwd",
        "20260101T093000000000Z-../../x.eml",
        "20260101T093000000000Z-x.eml.bak",
        "20260101T093000000000Z-gone-00000000.eml",
        "20260101T093000000000Z-\0.eml",
        "20260101T093000000000Z-" + "x" * 5000 + ".eml",
        "notes.eml",
    ],
)
async def test_a_name_of_no_mail_is_not_found(outbox: Outbox, made_folder: Path, name: str) -> None:
    for other in ("notes.eml", "20260101T093000000000Z-x.eml.bak"):
        (made_folder / other).write_text("Subject: not ours\n\n")
    with pytest.raises(FileNotFoundError):
        outbox.read(name)


def _refused(*_: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))
