"""Mail addresses, for comparing and for showing without telling."""

import re

_WORD = re.compile(r"[^\s<>]+")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{20,}")
_GMAIL = ("gmail.com", "googlemail.com")


def normalised(address: str) -> str:
    """Return the one spelling under which an address is counted and looked up.

    The domain is an A-label already (the form saw to it). Case is folded and a `+tag` taken off:
    nearly every mail server treats these as one mailbox, and counting them apart would let one
    person be written to without limit. Gmail leaves out dots as well, and has two names
    (https://support.google.com/mail/answer/7436150).
    """
    local, _, domain = address.casefold().rpartition("@")
    mailbox = local.partition("+")[0] or local
    return f"{mailbox.replace('.', '')}@{_GMAIL[0]}" if domain in _GMAIL else f"{mailbox}@{domain}"


def is_tagged(address: str) -> bool:
    """Return whether the address has a `+tag`, of which its server may know nothing."""
    return "+" in address.rpartition("@")[0]


def domain_of(address: str) -> str:
    return address.rpartition("@")[2].casefold()


def masked(address: str) -> str:
    """Return the address with its local part hidden but for its first character."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}…@{domain}"


def redacted(answer: str) -> str:
    """Return what a mail server said with addresses, and whatever may be a token, taken out.

    On one line, without controls or lone surrogates: PostgreSQL takes neither, and one of them
    would keep a whole group from being settled.
    """
    if not answer.isprintable():
        answer = "".join(character if character.isprintable() else " " for character in answer)
    # By words: a pattern with the @ in it would begin anew at every character of a long line without one.
    if "@" in answer:
        answer = _WORD.sub(lambda word: "[address]" if "@" in word[0] else word[0], answer)
    return _TOKEN.sub("[…]", answer)
