"""From a claimed row to a finished message: the one place where a sealed letter is opened to be sent."""

from datetime import datetime
from uuid import UUID

from app.domain.address import is_alias, masked
from app.domain.status import Occasion
from app.mail.compose import Composer
from app.mail.envelope import Entry, Envelope, Mail
from app.store.claims import Claimed, Row
from app.store.database import as_moment
from app.store.links import wrote
from app.store.models import Delivery
from app.store.new_deliveries import new_delivery
from app.store.vault import LETTER_COLUMNS, Vault

_MAILED = ("recipient_email", "recipient_name", "sender_name", "subject", "body")
"""What of a letter its reader gets; notices show more, to its writer."""


class Packer:
    """Opens letters and has them composed."""

    def __init__(self, vault: Vault, composer: Composer, origin: str, message_domain: str) -> None:
        """Take the origin under which the letters' own pages are found, and our Message-IDs' domain."""
        self._vault = vault
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
        values = self._vault.open_letter(letter, LETTER_COLUMNS if notice else _MAILED)
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
            mailbox_url=f"{self._origin}/quiet/{self._vault.mailbox_token(letter['sender_mac'])}" if to_writer else "",
            renewed=claimed.occasion is Occasion.RECEIPT and letter["edition"] > 1,
            confirm_url=self._confirm_url(claimed.message_id) if asks else "",
            entries=tuple(
                self._entry(each) for each in claimed.others if wrote(self._vault, values["sender_email"], each)
            ),
        )

    def _entry(self, letter: Row) -> Entry:
        token, reader = self._vault.open_letter(letter, ("token", "recipient_email")).values()
        return Entry(f"{self._origin}/letters/{token}", masked(reader), as_moment(letter["written_at"]))

    def _confirm_url(self, message_id: str) -> str:
        return f"{self._origin}/confirm/{self._vault.confirmation_token(message_id)}"

    def is_alias(self, claimed: Claimed) -> bool:
        """Return whether the address this goes to is one of several spellings."""
        column = f"{claimed.addressee}_email"
        return is_alias(self._vault.open_letter(claimed.letter, (column,))[column])

    def refusal_notice(self, claimed: Claimed, now: datetime) -> Delivery | None:
        """Return the notice that tells the writer of a refused first letter, if we know how to.

        Raises KeyMissing where the letter does not open.
        """
        letter = claimed.letter
        if claimed.occasion is not Occasion.FIRST or not letter["sender_mac"]:
            return None
        address = self._vault.open_letter(letter, ("sender_email",))["sender_email"]
        return new_delivery(
            UUID(str(letter["id"])),
            Occasion.REFUSAL,
            now,
            now,
            domain_mac=self._vault.domain_mac(address),
            message_domain=self._message_domain,
        )

    def _stop_url(self, letter: Row) -> str:
        """Return the reader's page of a letter; one from before there were such pages has none."""
        if not letter["reader_token_hash"]:
            return ""
        token = self._vault.reader_token(letter["id"], letter["recipient_mac"])
        return f"{self._origin}/stop/{token}"
