"""Encryption at rest, blind indexes, and the tokens of links.

A sealed value is AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce:

    1 byte version | 4 bytes key id | 12 bytes nonce | ciphertext | 16 bytes tag

Its associated data is the table, the column and the row (a letter's with its revision), so that a
value that was moved elsewhere does not decrypt.
"""

import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.errors import KeyMissing

_VERSION = b"\x01"
_HEAD = 5
_NONCE = 12
_TEXT = _HEAD + _NONCE
_TOKEN_BYTES = 16  # 128 bits, also of an HMAC: enough against guesses and collisions


def new_token() -> str:
    """Return 128 random bits as 22 characters that need no escaping in a URL."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def token_hash(token: str) -> str:
    """Return a token's hash, in hex. 128 random bits need no salt and no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()


class Cipher:
    """Encrypts with the first key, and decrypts with any of them. Keys are secrets of 32 characters or more."""

    def __init__(self, keys: Sequence[str]) -> None:
        derived = [_derive(key) for key in keys]
        self._ciphers = {_key_id(key): AESGCM(key) for key in derived}
        self._current = _key_id(derived[0])

    def seal(self, plain: bytes, *, table: str, column: str, row: str) -> bytes:
        nonce = os.urandom(_NONCE)
        cipher = self._ciphers[self._current]
        return _VERSION + self._current + nonce + cipher.encrypt(nonce, plain, _aad(table, column, row))

    def open(self, sealed: bytes, *, table: str, column: str, row: str) -> bytes:
        """Raises KeyMissing where the key is not configured, or the value was changed or moved."""
        cipher = self._ciphers.get(sealed[1:_HEAD])
        if cipher is None or sealed[:1] != _VERSION:
            raise KeyMissing(
                f"a value in {table}.{column} was encrypted with a key that MAILBOX_SECRET_KEY does not hold"
            )
        try:
            return cipher.decrypt(sealed[_HEAD:_TEXT], sealed[_TEXT:], _aad(table, column, row))
        except (InvalidTag, ValueError):  # ValueError: shorter than the nonce
            reason = "it was changed, or comes from another row or an older revision"
            raise KeyMissing(f"a value in {table}.{column} cannot be decrypted: {reason}") from None

    @property
    def key_ids(self) -> str:
        return " ".join(key_id.hex() for key_id in self._ciphers)

    def is_current(self, sealed: bytes) -> bool:
        return sealed[1:_HEAD] == self._current


class BlindIndex:
    """Looks up encrypted addresses and domains, and derives links' tokens, by HMAC-SHA-256."""

    def __init__(self, key: bytes) -> None:
        self._keyed = hmac.new(key, digestmod="sha256")  # copies save looking up the hash

    def address(self, normalised: str) -> str:
        return self._hmac("address", normalised)

    def domain(self, domain: str) -> str:
        return self._hmac("domain", domain)

    def client(self, network: str) -> str:
        return self._hmac("client", network)

    def reader_token(self, letter: str, address_hmac: str) -> str:
        """Return the token of the reader's link to a letter, as long as `new_token`'s.

        It is derived whenever it is mailed, and only its hash is stored: nothing to encrypt or to
        erase. Without the key it is as good as random.
        """
        return self._token("reader", f"{letter}\0{address_hmac}")

    def confirmation_token(self, message_id: str) -> str:
        return self._token("confirmation", message_id)

    def mailbox_token(self, address_hmac: str) -> str:
        """Return the token of the link that closes a mailbox: the address's HMAC, signed. Nothing is stored."""
        return _base64url(bytes.fromhex(address_hmac) + self._digest("mailbox", address_hmac))

    def mailbox_of(self, token: str) -> str | None:
        """Return the HMAC of the token's address; None for a forged token."""
        try:
            address_hmac = base64.urlsafe_b64decode(f"{token}=")[:_TOKEN_BYTES].hex()
        except ValueError:
            return None
        return address_hmac if hmac.compare_digest(self.mailbox_token(address_hmac), token) else None

    def _token(self, purpose: str, text: str) -> str:
        return _base64url(self._digest(purpose, text))

    def _hmac(self, purpose: str, text: str) -> str:
        return self._digest(purpose, text).hex()

    def _digest(self, purpose: str, text: str) -> bytes:
        mac = self._keyed.copy()
        mac.update(f"{purpose}\0{text}".encode())
        return mac.digest()[:_TOKEN_BYTES]


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def _derive(secret: str) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt=None, info=b"slow-mailbox sealing v1").derive(secret.encode())


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"slow-mailbox key id" + key).digest()[: _HEAD - 1]


def _aad(table: str, column: str, row: str) -> bytes:
    return f"{table}\0{column}\0{row}".encode()
