"""A transport without a mail server: one .eml file in a folder for each mail."""

import asyncio
import contextlib
import os
import re
import secrets
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesHeaderParser, BytesParser
from functools import partial
from pathlib import Path

from app.clock import Clock
from app.domain.retry import Reply
from app.mail.envelope import (
    ClaimLost,
    Envelope,
    HandOver,
    OnFinalDot,
    OnReply,
    TransportError,
    Unanswered,
    Unavailable,
    ignore,
)

_NAME = re.compile(r"(\d{8}T\d{12})Z-[A-Za-z0-9_-]{1,160}\.eml")
_TIME = "%Y%m%dT%H%M%S%f"
_UNAVAILABLE = partial(Unavailable, permanent=True)
_MESSAGE_ID = re.compile(rb"(?im)^Message-ID: *<([A-Za-z0-9_-]{1,128})@")


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    name: str
    date: datetime  # of writing the file
    recipient: str
    subject: str


@dataclass(frozen=True, slots=True)
class OutboxMail:
    subject: str
    headers: tuple[tuple[str, str], ...]
    text: str
    html: str


class Outbox:
    """Files are named by time, the Message-ID's local part (so that a mail sent again is known),
    and a random end (so that it never replaces the first).
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    async def send(
        self, envelope: Envelope, hand_over: HandOver, on_reply: OnReply = ignore, on_final_dot: OnFinalDot = ignore
    ) -> Reply:
        """See Transport.send: the file is complete, on the disk, or not there at all."""
        path = self._folder / self._name(envelope.message)
        draft = path.with_suffix(".draft")
        try:
            with self._raising(_UNAVAILABLE):
                await asyncio.to_thread(self._write, draft, envelope.message)
            if not await hand_over():
                raise ClaimLost("the claim was lost before the file was renamed")
            on_final_dot()
            with self._raising(_UNAVAILABLE):
                await asyncio.to_thread(draft.rename, path)
        except BaseException:
            with contextlib.suppress(OSError):
                draft.unlink()
            raise
        with self._raising(Unanswered):
            await asyncio.to_thread(_sync, self._folder)
        reply = Reply(250, "2.0.0", "kept in the outbox", "body")
        on_reply(reply)
        return reply

    async def close(self) -> None:
        """Do nothing: there are no connections."""

    def entries(self, limit: int) -> list[OutboxEntry]:
        """Return the newest mails first."""
        try:
            names = sorted((path.name for path in self._folder.iterdir() if _NAME.fullmatch(path.name)), reverse=True)
        except FileNotFoundError:
            return []
        return [entry for name in names[:limit] if (entry := self._entry(name))]

    def read(self, name: str) -> OutboxMail:
        """Raises FileNotFoundError."""
        if not _NAME.fullmatch(name):
            raise FileNotFoundError(name)
        message = BytesParser(policy=policy.default).parsebytes((self._folder / name).read_bytes())
        return OutboxMail(
            subject=str(message["Subject"] or ""),
            headers=tuple((key, str(value)) for key, value in message.items()),
            text=_part(message, "plain"),
            html=_part(message, "html"),
        )

    def forget(self, message_ids: Collection[str]) -> int:
        """Return how many files were deleted."""
        wanted = {message_id.strip("<>").partition("@")[0] for message_id in message_ids}
        paths = [path for path in self._folder.glob("*.eml") if _local_part(path.name) in wanted]
        for path in paths:
            path.unlink(missing_ok=True)
        return len(paths)

    def _entry(self, name: str) -> OutboxEntry | None:
        """Return None where the file was deleted meanwhile."""
        try:
            with (self._folder / name).open("rb") as file:
                headers = BytesHeaderParser(policy=policy.default).parse(file)
        except FileNotFoundError:
            return None
        return OutboxEntry(
            name=name,
            date=datetime.strptime(name.partition("Z")[0], _TIME).replace(tzinfo=UTC),
            recipient=str(headers["To"] or ""),
            subject=str(headers["Subject"] or ""),
        )

    def _name(self, message: bytes) -> str:
        match = _MESSAGE_ID.search(message)
        local_part = match[1].decode() if match else "unknown"
        return f"{self._clock.now():{_TIME}}Z-{local_part}-{secrets.token_hex(4)}.eml"

    def _write(self, draft: Path, message: bytes) -> None:
        if not self._folder.is_dir():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sync(self._folder.parent)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(message)
            file.flush()
            os.fsync(file.fileno())

    @contextlib.contextmanager
    def _raising(self, error_class: Callable[[str], TransportError]) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise error_class(f"the outbox {self._folder} cannot be written to: {error.strerror}") from error


def _local_part(name: str) -> str:
    return name.partition("Z-")[2].rpartition("-")[0]


def _sync(folder: Path) -> None:
    """Sync the folder's own entries, which `fsync` of a file does not (fsync(2))."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return str(part.get_content()) if part else ""
