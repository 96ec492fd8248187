"""Sealing of letters' columns and second factors, and the key of the blind index.

A letter's column is bound to its row and revision, so that an older value does not open beside newer
ones. Revision 0 (letters from before there were revisions) is bound to the row alone.
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from app.crypto import BlindIndex, Cipher
from app.domain.address import domain_of, normalised
from app.errors import LetterNotFound
from app.store.models import Secret
from app.store.operator_models import SecondFactor

LETTER_COLUMNS = ("token", "recipient_email", "recipient_name", "sender_email", "sender_name", "subject", "body")
_BLIND_INDEX = "finder"
_BLIND_INDEX_PLACE = {"table": "secrets", "column": "sealed", "row": _BLIND_INDEX}


class LetterCipher:
    def __init__(self, base_cipher: Cipher, blind_index: BlindIndex) -> None:
        self._base_cipher = base_cipher
        self._blind_index = blind_index

    @property
    def key_ids(self) -> str:
        """Identifiers of the keys, the current one's first; they reveal nothing about the keys."""
        return self._base_cipher.key_ids

    def seal_letter(self, letter_id: UUID | str, revision: int, values: Mapping[str, str]) -> dict[str, bytes]:
        row = _row(letter_id, revision)
        return {
            f"{column}_sealed": self._base_cipher.seal(value.encode(), table="letters", column=column, row=row)
            for column, value in values.items()
        }

    def open_column(self, letter_id: UUID | str, revision: int, column: str, sealed: bytes | None) -> str:
        """Return a value of a letter, empty where it has been purged. Raises KeyMissing."""
        return self._open(_row(letter_id, revision), column, sealed)

    def open_letter(self, letter: Mapping[str, Any], columns: Sequence[str] = LETTER_COLUMNS) -> dict[str, str]:
        row = _row(letter["id"], letter["revision"])
        return {column: self._open(row, column, letter[f"{column}_sealed"]) for column in columns}

    def _open(self, row: str, column: str, sealed: bytes | None) -> str:
        if sealed is None:
            return ""
        return self._base_cipher.open(bytes(sealed), table="letters", column=column, row=row).decode()

    def reseal_letter(self, letter: Mapping[str, Any]) -> dict[str, bytes]:
        old = [name for name in LETTER_COLUMNS if not self._base_cipher.is_current(bytes(letter[f"{name}_sealed"]))]
        return self.seal_letter(letter["id"], letter["revision"], self.open_letter(letter, old))

    def revise_letter(self, letter: Mapping[str, Any], changed: Mapping[str, str]) -> dict[str, Any]:
        revision = letter["revision"] + 1
        return {
            "revision": revision,
            **self.seal_letter(letter["id"], revision, {**self.open_letter(letter), **changed}),
        }

    def seal_secret(self, account_id: int, enrolment: UUID | None, secret: str) -> bytes:
        return self._base_cipher.seal(secret.encode(), **_second_factor(account_id, enrolment))

    def open_secret(self, factor: SecondFactor) -> str:
        place = _second_factor(factor.account_id, factor.enrolment)
        return self._base_cipher.open(bytes(factor.secret_sealed), **place).decode()

    def address_hmac(self, address: str) -> str:
        return self._blind_index.address(normalised(address))

    def domain_hmac(self, address: str) -> str:
        return self._blind_index.domain(domain_of(address))

    def client_hmac(self, network: str) -> str:
        return self._blind_index.client(network)

    def reader_token(self, letter_id: UUID | str, address_hmac: str) -> str:
        """Return the token of the reader's link; another address has another one."""
        return self._blind_index.reader_token(_hex(letter_id), address_hmac)

    def mailbox_token(self, address_hmac: str) -> str:
        """Return the token of the link in notices that unsubscribes this address from notices."""
        return self._blind_index.mailbox_token(address_hmac)

    def mailbox_of(self, token: str) -> str:
        address_hmac = self._blind_index.mailbox_of(token)
        if address_hmac is None:
            raise LetterNotFound("there is no mailbox under this link")
        return address_hmac

    def confirmation_token(self, message_id: str) -> str:
        return self._blind_index.confirmation_token(message_id)


def _row(letter_id: UUID | str, revision: int) -> str:
    row = _hex(letter_id)
    return f"{row}.{revision}" if revision else row


def _hex(letter_id: UUID | str) -> str:
    return str(letter_id).replace("-", "")


def _second_factor(account_id: int, enrolment: UUID | None) -> dict[str, str]:
    """Old enrolments have no id."""
    row = f"{account_id}.{enrolment.hex}" if enrolment else str(account_id)
    return {"table": "second_factors", "column": "secret_sealed", "row": row}


async def reseal_second_factors(cipher: LetterCipher, base_cipher: Cipher) -> None:
    async for factor in SecondFactor.all():
        old = bytes(factor.secret_sealed)
        if not base_cipher.is_current(old):
            fresh = cipher.seal_secret(factor.account_id, factor.enrolment, cipher.open_secret(factor))
            await SecondFactor.filter(id=factor.id, secret_sealed=old).update(secret_sealed=fresh)


async def reseal_blind_index(base_cipher: Cipher) -> bool:
    stored = await Secret.get(name=_BLIND_INDEX)
    if base_cipher.is_current(bytes(stored.sealed)):
        return False
    fresh = base_cipher.seal(base_cipher.open(bytes(stored.sealed), **_BLIND_INDEX_PLACE), **_BLIND_INDEX_PLACE)
    return bool(await Secret.filter(name=_BLIND_INDEX, sealed=stored.sealed).update(sealed=fresh))


async def open_cipher(base_cipher: Cipher) -> LetterCipher:
    """Read the blind index's key, or create it in a new database.

    Raises KeyMissing where it was sealed with a key that is not configured.
    """
    stored = await Secret.get_or_none(name=_BLIND_INDEX)
    if stored is None:
        fresh = base_cipher.seal(secrets.token_bytes(32), **_BLIND_INDEX_PLACE)
        # Two processes may start on a new database at once: the first insert wins.
        await Secret.bulk_create([Secret(name=_BLIND_INDEX, sealed=fresh)], ignore_conflicts=True)
        stored = await Secret.get(name=_BLIND_INDEX)
    return LetterCipher(base_cipher, BlindIndex(base_cipher.open(bytes(stored.sealed), **_BLIND_INDEX_PLACE)))
