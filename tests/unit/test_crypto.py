"""Sealed values open with their key and in their row alone; tokens are random and long enough."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.crypto import BlindIndex, Cipher, new_token, token_hash
from app.errors import KeyMissing

OLD, NEW = "old key " * 4, "new key " * 4
PLACE = {"table": "letters", "column": "body", "row": "1"}
CIPHER = Cipher([OLD])


@given(st.binary())
def test_a_sealed_value_opens(plain: bytes) -> None:
    sealed = CIPHER.seal(plain, **PLACE)
    assert CIPHER.open(sealed, **PLACE) == plain
    assert len(sealed) == len(plain) + 1 + 4 + 12 + 16
    assert plain not in sealed or len(plain) < 4


def test_the_same_text_is_never_sealed_the_same() -> None:
    assert len({CIPHER.seal(b"Dear you", **PLACE) for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"row": "2"},
        {"column": "subject"},
        {"table": "secrets"},
        {"table": "letters\0body", "column": "1", "row": ""},
        {"table": "lettersbody", "column": "", "row": "1"},
        {"column": "body1", "row": ""},
    ],
)
def test_a_value_opens_nowhere_else(elsewhere: dict[str, str]) -> None:
    sealed = CIPHER.seal(b"Dear you", **PLACE)
    with pytest.raises(KeyMissing, match="cannot be decrypted"):
        CIPHER.open(sealed, **(PLACE | elsewhere))


@given(st.data())
def test_a_value_that_was_changed_or_cut_does_not_open(draw: st.DataObject) -> None:
    sealed = CIPHER.seal(b"Dear you", **PLACE)
    place = draw.draw(st.integers(0, len(sealed) - 1))
    changed = bytearray(sealed)
    changed[place] ^= draw.draw(st.integers(1, 255))
    for wrong in (
        bytes(changed),
        sealed[:place],
        sealed + b"x",
        b"",
        b"plain text, never sealed at all, but long enough",
    ):
        with pytest.raises(KeyMissing):
            CIPHER.open(wrong, **PLACE)


def test_another_key_does_not_open_and_the_message_names_the_setting() -> None:
    sealed = CIPHER.seal(b"Dear you", **PLACE)
    with pytest.raises(KeyMissing, match=r"letters\.body .*MAILBOX_SECRET_KEY") as missing:
        Cipher([NEW]).open(sealed, **PLACE)
    assert "Dear" not in str(missing.value)


def test_of_several_keys_the_first_seals_and_all_open() -> None:
    rotating = Cipher([NEW, OLD])
    old = CIPHER.seal(b"Dear you", **PLACE)
    new = rotating.seal(b"Dear you", **PLACE)
    assert rotating.open(old, **PLACE) == rotating.open(new, **PLACE) == b"Dear you"
    assert Cipher([NEW]).open(new, **PLACE) == b"Dear you"
    with pytest.raises(KeyMissing):
        CIPHER.open(new, **PLACE)
    assert (rotating.is_current(old), rotating.is_current(new)) == (False, True)


def test_a_blind_index_is_deterministic_and_separates_purposes() -> None:
    blind_index, other = BlindIndex(b"k" * 32), BlindIndex(b"o" * 32)
    assert blind_index.address("minji@example.org") == BlindIndex(b"k" * 32).address("minji@example.org")
    assert blind_index.address("example.org") != blind_index.domain("example.org")
    assert blind_index.address("minji@example.org") != other.address("minji@example.org")
    assert blind_index.address("a@example.org") != blind_index.address("b@example.org")


def test_the_values_of_a_blind_index_never_change() -> None:
    """They are stored: an upgrade that changed them would lose every block and every limit."""
    assert BlindIndex(bytes(range(32))).address("minji@example.org") == "c01b68177004900537f34b4360baac5b"
    assert BlindIndex(bytes(range(32))).domain("example.org") == "4c4e428039b73bdeb151ff8cdd69e16a"


def test_what_was_sealed_by_the_first_release_opens_for_ever() -> None:
    sealed = bytes.fromhex("01d1392165a7ed6b31171a77d6998ab4c8203fa9fbcdffb25d364de9c8d5b70f55cd312ee56a9ea792")
    assert CIPHER.open(sealed, **PLACE) == b"Dear you"


def test_tokens_have_128_random_bits_and_need_no_escaping() -> None:
    tokens = {new_token() for _ in range(1000)}
    assert len(tokens) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", token) for token in tokens)


def test_a_token_is_stored_as_its_hash() -> None:
    token = new_token()
    assert re.fullmatch(r"[0-9a-f]{64}", token_hash(token))
    assert token_hash(token) == token_hash(token) != token_hash(new_token())
    assert token not in token_hash(token)
