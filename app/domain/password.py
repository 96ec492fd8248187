"""Which passwords are the first that a guesser tries (NIST SP 800-63B §5.1.1.2, OWASP ASVS 5.0 6.2.4 and 6.2.11)."""

import re

# Of what the lists of the commonest passwords hold, all that is long enough consists of these.
_WORDS = (
    *("password", "passwort", "passw0rd", "p@ssw0rd", "letmein", "welcome", "iloveyou", "changeme", "football"),
    *("baseball", "sunshine", "princess", "superman", "trustno1", "whatever", "starwars", "computer", "internet"),
    *("administrator", "admin", "root", "secret", "login", "qwerty", "azerty", "asdfgh", "zxcvbn", "dragon", "monkey"),
    *("slowmailbox", "slow", "mailbox", "letters", "postmaster", "비밀번호", "느린우체통", "우체통"),
)
_RUNS = (
    *("01234567890", "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm", "qwertyuiop", "asdfghjkl"),
    *("1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p", "1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0", "zaq12wsxcde34rfv"),
)
_RUN = 4
"""So many signs in a row of a keyboard or an alphabet say no more than one."""
_REPEATED = re.compile(r"(.{1,8}?)\1+")
_LEAST_LEFT = 6


def is_guessable(password: str, username: str) -> bool:
    """Return whether too little is left of a password without common words, runs and repetitions.

    The account's name and this program's are common words here.
    """
    left = "".join(password.casefold().split())
    for word in sorted((*_WORDS, username.casefold()), key=len, reverse=True):
        left = left.replace(word, "") if word else left
    left = _REPEATED.sub(r"\1", _without_runs(left))
    return len(left) < _LEAST_LEFT


def _without_runs(text: str) -> str:
    """Leave of each run its first sign."""
    kept, at = "", 0
    while at < len(text):
        kept += text[at]
        at += _run_at(text, at)
    return kept


def _run_at(text: str, at: int) -> int:
    """Return how many signs from here on are a run; 1: it is none."""
    longest = 1
    for run in (*_RUNS, *(each[::-1] for each in _RUNS)):
        end = at + _RUN
        while end <= len(text) and text[at:end] in run:
            longest = max(longest, end - at)
            end += 1
    return longest
