"""Makes messages of claimed deliveries: the only place that decrypts a letter to send it."""

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
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
"""What a letter's reader gets; notices show more, to its writer."""


@dataclass(frozen=True, slots=True)
class Packer:
    cipher: LetterCipher
    composer: Composer
    origin: str
    message_domain: str

    def pack(self, claimed: Claimed, now: datetime) -> Envelope:
        """Raises KeyMissing where the letter cannot be decrypted, ValueError where it cannot be composed."""
        return self.composer.compose(self._mail(claimed), now)

    def _mail(self, claimed: Claimed) -> Mail:
        letter = claimed.letter
        is_notice, addressee = claimed.occasion.is_notice, claimed.addressee
        values = self.cipher.open_letter(letter, LETTER_COLUMNS if is_notice else _MAILED)
        second = letter["second_send_at"]
        to_writer, is_confirmation = is_notice and addressee == "sender", claimed.occasion is Occasion.CONFIRMATION
        return Mail(
            occasion=claimed.occasion,
            message_id=claimed.message_id,
            recipient_email=values[f"{addressee}_email"],
            recipient_name=values[f"{addressee}_name"],
            sender_name=values["sender_name"],
            subject=values["subject"],
            body=values["body"],
            language=letter["language"],
            timezone=letter["timezone"],
            written_at=as_moment(letter["written_at"]),
            send_at=as_moment(letter["send_at"]),
            second_send_at=as_moment(second) if second else None,
            page_url=f"{self.origin}/letters/{values['token']}" if to_writer and not is_confirmation else "",
            reader=masked(values["recipient_email"]) if to_writer and not is_confirmation else "",
            reason="" if claimed.untried else claimed.refusal,
            refused_for=None if claimed.untried else claimed.refused_for,
            untried=claimed.untried,
            stop_url="" if to_writer else self._stop_url(letter),
            mailbox_url=f"{self.origin}/quiet/{self.cipher.mailbox_token(letter['sender_hmac'])}" if to_writer else "",
            renewed=claimed.occasion is Occasion.RECEIPT and letter["edition"] > 1,
            confirm_url=self._confirm_url(claimed.message_id) if is_confirmation else "",
            entries=tuple(
                self._entry(each) for each in claimed.others if written_by(self.cipher, values["sender_email"], each)
            ),
        )

    def _entry(self, letter: Row) -> MailListEntry:
        token, reader = self.cipher.open_letter(letter, ("token", "recipient_email")).values()
        return MailListEntry(f"{self.origin}/letters/{token}", masked(reader), as_moment(letter["written_at"]))

    def _confirm_url(self, message_id: str) -> str:
        return f"{self.origin}/confirm/{self.cipher.confirmation_token(message_id)}"

    def is_alias(self, claimed: Claimed) -> bool:
        column = f"{claimed.addressee}_email"
        return is_alias(self.cipher.open_letter(claimed.letter, (column,))[column])

    def refusal_notice(self, claimed: Claimed, now: datetime) -> Delivery | None:
        """Return the notice to the writer of a refused first delivery; None where no address is known.

        Raises KeyMissing where the letter cannot be decrypted.
        """
        letter = claimed.letter
        if claimed.occasion is not Occasion.FIRST or not letter["sender_hmac"]:
            return None
        address = self.cipher.open_letter(letter, ("sender_email",))["sender_email"]
        return new_delivery(
            UUID(str(letter["id"])),
            Occasion.REFUSAL,
            now,
            now,
            domain_hmac=self.cipher.domain_hmac(address),
            message_domain=self.message_domain,
        )

    def _stop_url(self, letter: Row) -> str:
        """Empty for a letter from before there were such pages."""
        if not letter["reader_token_hash"]:
            return ""
        token = self.cipher.reader_token(letter["id"], letter["recipient_hmac"])
        return f"{self.origin}/stop/{token}"


_BATCH_SIZE = 16  # letters; composing them takes about two milliseconds, during which nothing else runs
_MAX_AGE = timedelta(seconds=5)  # a message has a Date: an older one is composed again


class BatchPacker:
    """Packs a letter together with the next ones.

    Composed one at a time between other work, each finds the processor's caches cold; a batch
    costs a quarter less.
    """

    def __init__(self, packer: Packer, upcoming: Callable[[], Iterable[Claimed]]) -> None:
        self._packer = packer
        self._upcoming = upcoming
        self._packed: dict[tuple[int, UUID], tuple[datetime, Envelope]] = {}

    def pack(self, claimed: Claimed, now: datetime) -> Envelope:
        """See Packer.pack. The message may be some seconds old, but never older than the claim."""
        at, envelope = self._packed.pop(_key(claimed), None) or (now, None)
        if envelope is None or now - at > _MAX_AGE:
            envelope = self._packer.pack(claimed, now)
            self._packed = dict(self._pack_upcoming(now))
        return envelope

    def _pack_upcoming(self, now: datetime) -> Iterable[tuple[tuple[int, UUID], tuple[datetime, Envelope]]]:
        for claimed in islice(self._upcoming(), _BATCH_SIZE):
            key = _key(claimed)
            if key in self._packed:
                yield key, self._packed[key]
            elif not claimed.hold_reason:
                with contextlib.suppress(Exception):  # raised when it is its turn
                    yield key, (now, self._packer.pack(claimed, now))


def _key(claimed: Claimed) -> tuple[int, UUID]:
    """Return a key that is unique to this claim: the letter may be edited between two claims."""
    return claimed.id, claimed.token
