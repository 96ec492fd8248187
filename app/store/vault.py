"""Sealing bound to this database: the columns of a letter, and the finder's own key."""

import secrets
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from app.domain.address import domain_of, normalised
from app.sealing import Finder, Sealer
from app.store.desk_models import SecondFactor
from app.store.models import Secret

LETTER_COLUMNS = ("token", "recipient_email", "recipient_name", "sender_email", "sender_name", "subject", "body")
_FINDER = "finder"
_PLACE = {"table": "secrets", "column": "sealed", "row": _FINDER}


class Vault:
    """Seals and opens letters; made by `open_vault`."""

    def __init__(self, sealer: Sealer, finder: Finder) -> None:
        self._sealer = sealer
        self._finder = finder

    @property
    def key_ids(self) -> str:
        """What the keys are told apart by, the first one's first; it says nothing about them."""
        return self._sealer.key_ids

    def seal_letter(self, letter_id: UUID, values: Mapping[str, str]) -> dict[str, bytes]:
        """Return the sealed columns of a letter for `values`, by column name."""
        row = letter_id.hex
        return {
            f"{column}_sealed": self._sealer.seal(value.encode(), table="letters", column=column, row=row)
            for column, value in values.items()
        }

    def open_column(self, letter_id: UUID, column: str, sealed: bytes | None) -> str:
        """Return one value of a letter, or an empty string where it has been purged.

        Raises KeyMissing where it does not open.
        """
        if sealed is None:
            return ""
        return self._sealer.open(bytes(sealed), table="letters", column=column, row=letter_id.hex).decode()

    def open_letter(self, letter: Mapping[str, Any]) -> dict[str, str]:
        """Return all sealed values of a letter's row by name."""
        letter_id = UUID(str(letter["id"]))
        return {column: self.open_column(letter_id, column, letter[f"{column}_sealed"]) for column in LETTER_COLUMNS}

    def reseal_letter(self, letter: Mapping[str, Any]) -> dict[str, bytes]:
        """Return the sealed columns of a letter's row that are not under the first key, now under it.

        Raises KeyMissing where one does not open.
        """
        letter_id = UUID(str(letter["id"]))
        values = {
            column: self.open_column(letter_id, column, letter[f"{column}_sealed"])
            for column in LETTER_COLUMNS
            if not self._sealer.is_current(bytes(letter[f"{column}_sealed"]))
        }
        return self.seal_letter(letter_id, values)

    def seal_secret(self, account_id: int, secret: str) -> bytes:
        """Return the sealed secret of an account's second factor."""
        return self._sealer.seal(secret.encode(), **_second_factor(account_id))

    def open_secret(self, account_id: int, sealed: bytes) -> str:
        """Return that secret. Raises KeyMissing where it does not open."""
        return self._sealer.open(sealed, **_second_factor(account_id)).decode()

    def address_mac(self, address: str) -> str:
        """Return what an address is found by."""
        return self._finder.address(normalised(address))

    def domain_mac(self, address: str) -> str:
        """Return what the domain of an address is found by."""
        return self._finder.domain(domain_of(address))

    def reader_token(self, letter_id: UUID, address_mac: str) -> str:
        """Return the token of the link in a letter's mail, for the reader at this address alone."""
        return self._finder.reader_token(letter_id.hex, address_mac)

    def confirmation_token(self, message_id: str) -> str:
        """Return the token of the link in the mail with this Message-ID, by which an address confirms."""
        return self._finder.confirmation_token(message_id)


def _second_factor(account_id: int) -> dict[str, str]:
    return {"table": "second_factors", "column": "secret_sealed", "row": str(account_id)}


async def reseal_second_factors(vault: Vault, sealer: Sealer) -> None:
    """Seal the secrets of second factors with the first key."""
    async for factor in SecondFactor.all():
        old = bytes(factor.secret_sealed)
        if not sealer.is_current(old):
            fresh = vault.seal_secret(factor.account_id, vault.open_secret(factor.account_id, old))
            await SecondFactor.filter(id=factor.id, secret_sealed=old).update(secret_sealed=fresh)


async def reseal_finder(sealer: Sealer) -> bool:
    """Seal the finder's key with the first key; False: it is already."""
    stored = await Secret.get(name=_FINDER)
    if sealer.is_current(bytes(stored.sealed)):
        return False
    fresh = sealer.seal(sealer.open(bytes(stored.sealed), **_PLACE), **_PLACE)
    return bool(await Secret.filter(name=_FINDER, sealed=stored.sealed).update(sealed=fresh))


async def open_vault(sealer: Sealer) -> Vault:
    """Read the finder's key, or make it in a new database.

    Raises KeyMissing where it was sealed with a key we were not given.
    """
    stored = await Secret.get_or_none(name=_FINDER)
    if stored is None:
        fresh = sealer.seal(secrets.token_bytes(32), **_PLACE)
        # Two processes may start on a new database at once: the first to write decides.
        await Secret.bulk_create([Secret(name=_FINDER, sealed=fresh)], ignore_conflicts=True)
        stored = await Secret.get(name=_FINDER)
    return Vault(sealer, Finder(sealer.open(bytes(stored.sealed), **_PLACE)))
