"""Passwords that guessers try first are refused, and others are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.password import is_guessable


@pytest.mark.parametrize(
    "password",
    [
        *("123456789012", "098765432109", "111111111111", "abcabcabcabc", "aaaaaaaaaaaa", "121212121212"),
        *("passwordpassword", "Password1234!", "P@ssw0rd1234", "changeme1234", "letmein123456", "iloveyou2026"),
        *("qwertyuiop12", "1q2w3e4r5t6y", "1qaz2wsx3edc", "QWERTYUIOPASDF", "abcdefghijkl", "zyxwvutsrqpo"),
        *("administrator", "admin123456789", "slowmailbox1", "Slow Mailbox 1", "jihye-jihye-1", "JIHYE jihye 12"),
        *("느린우체통 비밀번호", "            "),
    ],
)
def test_what_everybody_tries_is_refused(password: str) -> None:
    assert is_guessable(password, "jihye")


@pytest.mark.parametrize(
    "password",
    [
        *("correct horse battery", "xk7pq-9wvmr-h2snd-4tgzb", "바다는 조용하고 봄은 멀다", "the sea is calm tonight"),
        *("a long enough password", "jihye rows across the lake", "f3b1c9e8d7a6"),
    ],
)
def test_others_are_not(password: str) -> None:
    assert not is_guessable(password, "jihye")


@given(st.text(min_size=0, max_size=128), st.text(max_size=64))
def test_whatever_is_typed_is_judged(password: str, username: str) -> None:
    assert is_guessable(password, username) in (True, False)
