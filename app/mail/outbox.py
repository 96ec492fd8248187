"""The outbox folder: a transport for trying the program out, one .eml file for each mail."""

import asyncio
import contextlib
import os
import re
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesHeaderParser, BytesParser
from email.utils import parsedate_to_datetime
from pathlib import Path

from app.clock import Clock
from app.domain.retry import Reply
from app.mail.envelope import ClaimLost, Envelope, HandOver, Outage

_NAME = re.compile(r"[0-9TZ]+-[A-Za-z0-9_-]+\.eml")
_MESSAGE_ID = re.compile(rb"(?im)^Message-ID: *<([A-Za-z0-9_-]+)@")


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """One mail in the folder, as a list shows it."""

    name: str
    date: datetime
    recipient: str
    subject: str


@dataclass(frozen=True, slots=True)
class OutboxMail:
    """One mail as its reader gets it: header fields in order, and both bodies."""

    subject: str
    headers: tuple[tuple[str, str], ...]
    text: str
    html: str


class Outbox:
    """Keeps mails as files whose names sort by time and end in the Message-ID's local part."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    async def send(self, envelope: Envelope, hand_over: HandOver) -> Reply:
        """See Transport.send: the file is there whole, on the disk, or not at all."""
        try:
            draft = await asyncio.to_thread(self._write, envelope.message)
        except OSError as error:
            raise self._outage(error) from error
        if not await hand_over():
            draft.unlink()
            raise ClaimLost("the claim was lost before the file got its name")
        try:
            await asyncio.to_thread(self._publish, draft, self._name(envelope.message))
        except OSError as error:
            raise self._outage(error) from error
        return Reply(250, "2.0.0", "kept in the outbox", "body")

    async def close(self) -> None:
        """Leave nothing to do: no connection is kept."""

    def entries(self, limit: int) -> list[OutboxEntry]:
        """Return the newest mails first."""
        with contextlib.suppress(FileNotFoundError):
            names = sorted((path.name for path in self._folder.iterdir() if _NAME.fullmatch(path.name)), reverse=True)
            return [self._entry(name) for name in names[:limit]]
        return []

    def read(self, name: str) -> OutboxMail:
        """Return one mail. Raises FileNotFoundError where there is none of this name."""
        if not _NAME.fullmatch(name):
            raise FileNotFoundError(name)
        message = BytesParser(policy=policy.default).parsebytes((self._folder / name).read_bytes())
        return OutboxMail(
            subject=str(message["Subject"] or ""),
            headers=tuple((key, str(value)) for key, value in message.items()),
            text=_part(message, "plain"),
            html=_part(message, "html"),
        )

    def _entry(self, name: str) -> OutboxEntry:
        with (self._folder / name).open("rb") as file:
            headers = BytesHeaderParser(policy=policy.default).parse(file)
        return OutboxEntry(
            name=name,
            date=parsedate_to_datetime(headers["Date"]).astimezone(UTC),
            recipient=str(headers["To"]),
            subject=str(headers["Subject"] or ""),
        )

    def _name(self, message: bytes) -> str:
        found = _MESSAGE_ID.search(message)
        return f"{self._clock.now():%Y%m%dT%H%M%S%fZ}-{found[1].decode() if found else 'unknown'}.eml"

    def _write(self, message: bytes) -> Path:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=self._folder, prefix=".draft-")  # mode 0600
        with os.fdopen(descriptor, "wb") as file:
            file.write(message)
            file.flush()
            os.fsync(file.fileno())
        return Path(draft)

    def _publish(self, draft: Path, name: str) -> None:
        draft.rename(self._folder / name)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _outage(self, error: OSError) -> Outage:
        return Outage(f"the outbox {self._folder} cannot be written to: {error.strerror}", ours=True)


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return str(part.get_content()) if part else ""
