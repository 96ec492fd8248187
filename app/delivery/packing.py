"""From a claimed row to a finished message: the one place where a sealed letter is opened to be sent."""

import contextlib
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from itertools import islice
from uuid import UUID

from app.domain.address import is_alias, masked
from app.domain.status import Occasion
from app.mail.compose import Composer
from app.mail.envelope import Envelope, Mail, MailListEntry
from app.store.cipher import LETTER_COLUMNS, LetterCipher
from app.store.claims import Claimed, Row
from app.store.database import as_moment
from app.store.link_recovery import written_by
from app.store.models import Delivery
from app.store.posting import new_delivery

_MAILED = ("recipient_email", "recipient_name", "sender_name", "subject", "body")
"""What of a letter its reader gets; notices show more, to its writer."""


class Packer:
    """Opens letters and has them composed."""

    def __init__(self, cipher: LetterCipher, composer: Composer, origin: str, message_domain: str) -> None:
        """Take the origin under which the letters' own pages are found, and our Message-IDs' domain."""
        self._cipher = cipher
        self._composer = composer
        self._origin = origin
        self._message_domain = message_domain

    def pack(self, claimed: Claimed, now: datetime) -> Envelope:
        """Return what is handed over for a claim.

        Raises KeyMissing where the letter does not open, ValueError where it makes no message.
        """
        return self._composer.compose(self._mail(claimed), now)

    def _mail(self, claimed: Claimed) -> Mail:
        letter = claimed.letter
        notice, who = claimed.occasion.is_notice, claimed.addressee
        values = self._cipher.open_letter(letter, LETTER_COLUMNS if notice else _MAILED)
        second = letter["second_send_at"]
        to_writer, asks = notice and who == "sender", claimed.occasion is Occasion.CONFIRMATION
        return Mail(
            occasion=claimed.occasion,
            message_id=claimed.message_id,
            recipient_email=values[f"{who}_email"],
            recipient_name=values[f"{who}_name"],
            sender_name=values["sender_name"],
            subject=values["subject"],
            body=values["body"],
            language=letter["language"],
            timezone=letter["timezone"],
            written_at=as_moment(letter["written_at"]),
            send_at=as_moment(letter["send_at"]),
            second_send_at=as_moment(second) if second else None,
            page_url=f"{self._origin}/letters/{values['token']}" if to_writer and not asks else "",
            reader=masked(values["recipient_email"]) if to_writer and not asks else "",
            reason="" if claimed.untried else claimed.refusal,
            refused_for=None if claimed.untried else claimed.refused_for,
            untried=claimed.untried,
            stop_url="" if to_writer else self._stop_url(letter),
            mailbox_url=f"{self._origin}/quiet/{self._cipher.mailbox_token(letter['sender_hmac'])}"
            if to_writer
            else "",
            renewed=claimed.occasion is Occasion.RECEIPT and letter["edition"] > 1,
            confirm_url=self._confirm_url(claimed.message_id) if asks else "",
            entries=tuple(
                self._entry(each) for each in claimed.others if written_by(self._cipher, values["sender_email"], each)
            ),
        )

    def _entry(self, letter: Row) -> MailListEntry:
        token, reader = self._cipher.open_letter(letter, ("token", "recipient_email")).values()
        return MailListEntry(f"{self._origin}/letters/{token}", masked(reader), as_moment(letter["written_at"]))

    def _confirm_url(self, message_id: str) -> str:
        return f"{self._origin}/confirm/{self._cipher.confirmation_token(message_id)}"

    def is_alias(self, claimed: Claimed) -> bool:
        """Return whether the address this goes to is one of several spellings."""
        column = f"{claimed.addressee}_email"
        return is_alias(self._cipher.open_letter(claimed.letter, (column,))[column])

    def refusal_notice(self, claimed: Claimed, now: datetime) -> Delivery | None:
        """Return the notice that tells the writer of a refused first letter, if we know how to.

        Raises KeyMissing where the letter does not open.
        """
        letter = claimed.letter
        if claimed.occasion is not Occasion.FIRST or not letter["sender_hmac"]:
            return None
        address = self._cipher.open_letter(letter, ("sender_email",))["sender_email"]
        return new_delivery(
            UUID(str(letter["id"])),
            Occasion.REFUSAL,
            now,
            now,
            domain_hmac=self._cipher.domain_hmac(address),
            message_domain=self._message_domain,
        )

    def _stop_url(self, letter: Row) -> str:
        """Return the reader's page of a letter; one from before there were such pages has none."""
        if not letter["reader_token_hash"]:
            return ""
        token = self._cipher.reader_token(letter["id"], letter["recipient_hmac"])
        return f"{self._origin}/stop/{token}"


_ROW = 16  # letters: a row of them keeps everything else waiting for about two milliseconds
_FRESH = timedelta(seconds=5)  # a message tells when it was made: one that has waited longer is made anew


class BatchPacker:
    """Packs a letter, and with it those that are next.

    Made one at a time, between the answers to others, each finds the processor's caches full of
    something else; a row of them costs a quarter less.
    """

    def __init__(self, packer: Packer, upcoming: Callable[[], Iterable[Claimed]]) -> None:
        """Take what tells who is next in line."""
        self._packer = packer
        self._upcoming = upcoming
        self._made: dict[tuple[int, UUID], tuple[datetime, Envelope]] = {}

    def pack(self, claimed: Claimed, now: datetime) -> Envelope:
        """See Packer.pack. The message may be some seconds old, but never older than the claim."""
        at, envelope = self._made.pop(_key(claimed), None) or (now, None)
        if envelope is None or now - at > _FRESH:
            envelope = self._packer.pack(claimed, now)
            self._made = dict(self._row(now))
        return envelope

    def _row(self, now: datetime) -> Iterable[tuple[tuple[int, UUID], tuple[datetime, Envelope]]]:
        for claimed in islice(self._upcoming(), _ROW):
            key = _key(claimed)
            if key in self._made:
                yield key, self._made[key]
            elif not claimed.hold_reason:
                with contextlib.suppress(Exception):  # told when it is its turn
                    yield key, (now, self._packer.pack(claimed, now))


def _key(claimed: Claimed) -> tuple[int, UUID]:
    """Return what no other claim has: between two of them a letter may have been changed."""
    return claimed.id, claimed.token
