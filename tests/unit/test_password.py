"""Passwords that guessers try first are refused, and others are not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.store.accounts import is_guessable

# Common passwords of 12 characters or more and their usual variations, collected by hand and not from a list of leaks.
_COMMON = """
    123456789012 1234567890123 098765432109 111111111111 00000000000000 111111222222 147258369147 1029384756qp
    123456789abc 12345qwertasdfg 123qweasdzxc a1b2c3d4e5f6 aaaaaaaaaaaa abc123abc123 abcabcabcabc abcdefghijkl
    admin123456789 administrator alexander123 arsenal12345 asdfghjkl123 asdfghjkl1234 basketball23 blink182blink
    changeme1234 chocolate1234 christopher1 dragon123456 elizabeth123 football1234 google123456 happybirthday
    iloveyou1234 iloveyou2026 iloveyouforever ihateyou1234 jessica12345 letmein123456 letmeinletmein liverpoolfc1
    manchesterunited michael12345 monkey123456 mypassword123 newcastleunited november1980 P@ssw0rd1234 passw0rd1234
    Password1234! password2026! passwordpassword pokemon12345 princess1234 1q2w3e4r5t6y 1q2w3e4r5t6y7u q1w2e3r4t5y6
    1qaz2wsx3edc 1qaz2wsx3edc4rfv !qaz2wsx#edc qweasdzxc123 qwerty123456 qwerty1qwerty1 qwertyuiop12 qwertyuiop123
    QWERTYUIOPASDF starwars1234 sunshine1234 superman1234 testtesttest trustno1trustno1 unbelievable123
    Welcome2026! welcome123456 zaq12wsxcde3 zyxwvutsrqpo Summer2026!! thisismypassword
"""


def test_nearly_all_common_ones_are_refused() -> None:
    taken = [password for password in _COMMON.split() if not is_guessable(password, "jihye")]
    assert taken == ["Summer2026!!", "thisismypassword"]  # just over 10^8 guesses


@pytest.mark.parametrize(
    "password",
    ["slowmailbox1", "slow mailbox", "jihye-jihye-1", "jihye jihye 12", "느린우체통 비밀번호", "            "],
)
def test_the_names_of_the_account_and_of_the_site_are_no_secret(password: str) -> None:
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


@settings(max_examples=30)
@given(st.text(min_size=12, max_size=128), st.text(min_size=1, max_size=64))
def test_whatever_is_typed_is_judged(password: str, username: str) -> None:
    assert is_guessable(password, username) in (True, False)
