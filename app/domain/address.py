"""Mail addresses: normalising, masking, redacting."""

import re

_WORD = re.compile(r"[^\s<>]+")
_AT = re.compile("@|%40|\N{FULLWIDTH COMMERCIAL AT}")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{20,}")
_GMAIL = "gmail.com"
# Domains of one provider under which a name is one person's mailbox, and the domain it is counted by:
# https://support.apple.com/118230, https://proton.me/support/addresses-and-aliases; googlemail.com is
# Gmail's name in some countries, hanmail.net the older one of daum.net's mail. Proton's is a name that
# no address has: none of its domains comes with each of the others.
_TWINS = {
    "googlemail.com": _GMAIL,
    "me.com": "icloud.com",
    "mac.com": "icloud.com",
    "hanmail.net": "daum.net",
    **dict.fromkeys(("proton.me", "protonmail.com", "protonmail.ch", "pm.me"), "proton"),
}
_LETTERS = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z]?[a-z]{2,}")  # of one word in camel case
_NO_WORD = re.compile(r"[b-df-hj-np-tv-xz]{6}|(.)\1{3}", re.IGNORECASE)
_LONGEST_WORD = 64


def normalised(address: str) -> str:
    """Return the spelling under which an address is counted and looked up.

    The domain is an A-label (the form converts it). Case is folded and a `+tag` removed: nearly every
    mail server treats these as one mailbox, and counting them apart would let one person be written to
    without a limit. A provider's twin domains are folded, too, and dots for Gmail
    (https://support.google.com/mail/answer/7436150).

    For counts, blocks and look-ups only: mail goes to the address as it was typed.
    """
    local, _, domain = address.casefold().rpartition("@")
    mailbox = local.partition("+")[0] or local
    domain = _TWINS.get(domain, domain)
    return f"{mailbox.replace('.', '')}@{domain}" if domain == _GMAIL else f"{mailbox}@{domain}"


def is_alias(address: str) -> bool:
    """Whether the server may not know this address although it knows others that are counted as the same.

    One with a `+tag`, or at a twin domain: not every address at icloud.com exists at me.com.
    """
    local, _, domain = address.rpartition("@")
    return "+" in local or domain.casefold() in _TWINS


def domain_of(address: str) -> str:
    return address.rpartition("@")[2].casefold()


def masked(address: str) -> str:
    """Return the address with all but the first character of its local part hidden."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}…@{domain}"


def redacted(answer: str) -> str:
    """Return a reply without addresses and possible tokens.

    On one line, without controls or lone surrogates: PostgreSQL takes neither, and one of them would
    keep a whole group from being settled.
    """
    if not answer.isprintable():
        answer = "".join(character if character.isprintable() else " " for character in answer)
    # By words: a pattern with the @ in it would begin anew at every character of a long line without one.
    if _AT.search(answer):
        answer = _WORD.sub(lambda word: "[address]" if _AT.search(word[0]) else word[0], answer)
    return _TOKEN.sub(lambda run: run[0] if _is_words(run[0]) else "[…]", answer)


def _is_words(run: str) -> bool:
    """Whether these are joined words, as in SubmissionQuotaExceededException: letters, no digits."""
    return len(run) <= _LONGEST_WORD and not _LETTERS.sub("", run).strip("-_") and not _NO_WORD.search(run)
