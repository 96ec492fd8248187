"""Sealing bound to this database: the columns of a letter, and the finder's own key.

A letter's columns are bound to its row and to its revision, which counts how often it was written
anew. So what one of them held before does not open beside the others (letters from before there
were revisions have revision 0, and are bound to their rows alone).
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
_PLACE = {"table": "secrets", "column": "sealed", "row": _BLIND_INDEX}


class LetterCipher:
    """Seals and opens letters; made by `open_vault`."""

    def __init__(self, base_cipher: Cipher, blind_index: BlindIndex) -> None:
        self._base_cipher = base_cipher
        self._blind_index = blind_index

    @property
    def key_ids(self) -> str:
        """What the keys are told apart by, the first one's first; it says nothing about them."""
        return self._base_cipher.key_ids

    def seal_letter(self, letter_id: UUID | str, revision: int, values: Mapping[str, str]) -> dict[str, bytes]:
        """Return the sealed columns of a letter for `values`, by column name."""
        row = _row(letter_id, revision)
        return {
            f"{column}_sealed": self._base_cipher.seal(value.encode(), table="letters", column=column, row=row)
            for column, value in values.items()
        }

    def open_column(self, letter_id: UUID | str, revision: int, column: str, sealed: bytes | None) -> str:
        """Return one value of a letter, or an empty string where it has been purged.

        Raises KeyMissing where it does not open.
        """
        return self._open(_row(letter_id, revision), column, sealed)

    def open_letter(self, letter: Mapping[str, Any], columns: Sequence[str] = LETTER_COLUMNS) -> dict[str, str]:
        """Return the sealed values of a letter's row by name."""
        row = _row(letter["id"], letter["revision"])
        return {column: self._open(row, column, letter[f"{column}_sealed"]) for column in columns}

    def _open(self, row: str, column: str, sealed: bytes | None) -> str:
        if sealed is None:
            return ""
        return self._base_cipher.open(bytes(sealed), table="letters", column=column, row=row).decode()

    def reseal_letter(self, letter: Mapping[str, Any]) -> dict[str, bytes]:
        """Return the sealed columns of a letter's row that are not under the first key, now under it.

        Raises KeyMissing where one does not open.
        """
        old = [name for name in LETTER_COLUMNS if not self._base_cipher.is_current(bytes(letter[f"{name}_sealed"]))]
        return self.seal_letter(letter["id"], letter["revision"], self.open_letter(letter, old))

    def revise_letter(self, letter: Mapping[str, Any], fresh: Mapping[str, str]) -> dict[str, Any]:
        """Return all columns of a letter's row that are sealed, with `fresh` values among them, and their revision.

        Raises KeyMissing where one does not open.
        """
        revision = letter["revision"] + 1
        return {"revision": revision, **self.seal_letter(letter["id"], revision, {**self.open_letter(letter), **fresh})}

    def seal_secret(self, account_id: int, enrolment: UUID | None, secret: str) -> bytes:
        """Return the sealed secret of an account's second factor; it opens for this enrolment alone."""
        return self._base_cipher.seal(secret.encode(), **_second_factor(account_id, enrolment))

    def open_secret(self, factor: SecondFactor) -> str:
        """Return that secret. Raises KeyMissing where it does not open."""
        place = _second_factor(factor.account_id, factor.enrolment)
        return self._base_cipher.open(bytes(factor.secret_sealed), **place).decode()

    def address_hmac(self, address: str) -> str:
        """Return what an address is found by."""
        return self._blind_index.address(normalised(address))

    def domain_hmac(self, address: str) -> str:
        """Return what the domain of an address is found by."""
        return self._blind_index.domain(domain_of(address))

    def client_hmac(self, network: str) -> str:
        """Return the HMAC under which a client's network is counted."""
        return self._blind_index.client(network)

    def reader_token(self, letter_id: UUID | str, address_hmac: str) -> str:
        """Return the token of the link in a letter's mail, for the reader at this address alone."""
        return self._blind_index.reader_token(_hex(letter_id), address_hmac)

    def mailbox_token(self, address_hmac: str) -> str:
        """Return the token of the link in our notices to this address, by which it wants no more of them."""
        return self._blind_index.mailbox_token(address_hmac)

    def mailbox_of(self, token: str) -> str:
        """Return what the address of such a link is found by. Raises LetterNotFound for a link of nobody's."""
        address_hmac = self._blind_index.mailbox_of(token)
        if address_hmac is None:
            raise LetterNotFound("there is no mailbox under this link")
        return address_hmac

    def confirmation_token(self, message_id: str) -> str:
        """Return the token of the link in the mail with this Message-ID, by which an address confirms."""
        return self._blind_index.confirmation_token(message_id)


def _row(letter_id: UUID | str, revision: int) -> str:
    row = _hex(letter_id)
    return f"{row}.{revision}" if revision else row


def _hex(letter_id: UUID | str) -> str:
    """Return a letter's id as both databases' rows give it, and in one form."""
    return str(letter_id).replace("-", "")


def _second_factor(account_id: int, enrolment: UUID | None) -> dict[str, str]:
    """Return the place of a secret; an enrolment from before they were told apart has no name."""
    row = f"{account_id}.{enrolment.hex}" if enrolment else str(account_id)
    return {"table": "second_factors", "column": "secret_sealed", "row": row}


async def reseal_second_factors(cipher: LetterCipher, base_cipher: Cipher) -> None:
    """Seal the secrets of second factors with the first key."""
    async for factor in SecondFactor.all():
        old = bytes(factor.secret_sealed)
        if not base_cipher.is_current(old):
            fresh = cipher.seal_secret(factor.account_id, factor.enrolment, cipher.open_secret(factor))
            await SecondFactor.filter(id=factor.id, secret_sealed=old).update(secret_sealed=fresh)


async def reseal_blind_index(base_cipher: Cipher) -> bool:
    """Seal the finder's key with the first key; False: it is already."""
    stored = await Secret.get(name=_BLIND_INDEX)
    if base_cipher.is_current(bytes(stored.sealed)):
        return False
    fresh = base_cipher.seal(base_cipher.open(bytes(stored.sealed), **_PLACE), **_PLACE)
    return bool(await Secret.filter(name=_BLIND_INDEX, sealed=stored.sealed).update(sealed=fresh))


async def open_cipher(base_cipher: Cipher) -> LetterCipher:
    """Read the finder's key, or make it in a new database.

    Raises KeyMissing where it was sealed with a key we were not given.
    """
    stored = await Secret.get_or_none(name=_BLIND_INDEX)
    if stored is None:
        fresh = base_cipher.seal(secrets.token_bytes(32), **_PLACE)
        # Two processes may start on a new database at once: the first to write decides.
        await Secret.bulk_create([Secret(name=_BLIND_INDEX, sealed=fresh)], ignore_conflicts=True)
        stored = await Secret.get(name=_BLIND_INDEX)
    return LetterCipher(base_cipher, BlindIndex(base_cipher.open(bytes(stored.sealed), **_PLACE)))
