"""Validation of the letter form: pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from zoneinfo import available_timezones

from babel.dates import format_date
from babel.numbers import format_decimal
from email_validator import EmailNotValidError, validate_email

from app.domain.letter import BODY_LIMIT, NAME_LIMIT, SUBJECT_LIMIT, Draft, excess, length
from app.templating import translations

FIELDS = (
    *("recipient_email", "recipient_name", "subject", "body", "sender_name", "sender_email", "timezone"),
    *("first_arrival", "first_date", "second_arrival", "second_date"),
)
HONEYPOT = "website"
"""A hidden field that only programs fill."""
ZONES = frozenset(available_timezones()) - {"Factory", "localtime"}
_ADDRESS_LIMIT = 254  # octets (RFC 5321 §4.5.3.1.3, less the angle brackets)
# Unicode's control characters and lone surrogates; in a header also the two separators that
# str.splitlines takes for line ends.
_FORBIDDEN_IN_HEADER = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_FORBIDDEN_IN_BODY = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def N_(message: str) -> str:  # noqa: N802 - gettext's name for a text that is translated later
    return message


@dataclass(frozen=True, slots=True)
class FieldError:
    """A message to translate, with its numbers and dates."""

    message: str
    values: Mapping[str, int | date] = field(default_factory=dict)

    def words(self, language: str) -> str:
        written = {name: _written(value, language) for name, value in self.values.items()}
        return translations(language).gettext(self.message) % written


def _written(value: int | date, language: str) -> str:
    if isinstance(value, date):
        return format_date(value, "long", locale=language)
    return format_decimal(value, locale=language)


MISSING_ADDRESS = FieldError(N_("Please enter the e-mail address that the letter goes to."))
_MISSING_OWN = FieldError(N_("Please enter your e-mail address."))
MISSING_BODY = FieldError(N_("The letter is still empty. A line is enough."))
_NOT_ONE_ADDRESS = FieldError(N_("Please enter exactly one e-mail address."))
_NO_ADDRESS = FieldError(N_("This is not an e-mail address. Example: name@example.com."))
_FOREIGN_LOCAL_PART = FieldError(
    N_(
        "Please use only unaccented Latin letters, digits and signs before the @: "
        "not all mail servers accept other characters."
    )
)
_CONTROLS = FieldError(N_("This contains a line break or an invisible control character. Please type it again."))
_CONTROLS_IN_BODY = N_("The letter contains an invisible control character (character %(place)s). Please remove it.")
_TOO_LARGE = N_("This is too long for one e-mail. Please shorten it by about %(excess)s characters.")
_TOO_LONG = N_("Please use at most %(limit)s characters; this has %(length)s.")
_NO_ZONE = FieldError(N_("This is not a known time zone. Example: Asia/Seoul."))


class FormError(ValueError):
    """`faults` are the errors by field."""

    def __init__(self, faults: Mapping[str, FieldError]) -> None:
        super().__init__(", ".join(faults))
        self.faults = faults

    def words(self, language: str) -> dict[str, str]:
        return {name: fault.words(language) for name, fault in self.faults.items()}


def read_draft(values: Mapping[str, str], *, language: str, timezone: str) -> Draft:
    """`timezone` is the default. Raises FormError."""
    read = {
        "recipient_email": read_address(values.get("recipient_email", "")) or MISSING_ADDRESS,
        "recipient_name": _line(values.get("recipient_name", ""), NAME_LIMIT),
        "subject": _line(values.get("subject", ""), SUBJECT_LIMIT),
        "body": _body(values.get("body", "")),
        "sender_name": _line(values.get("sender_name", ""), NAME_LIMIT),
        "sender_email": read_address(values.get("sender_email", "")),
        "timezone": _zone(values.get("timezone", "") or timezone),
    }
    faults = {name: value for name, value in read.items() if isinstance(value, FieldError)}
    if faults:
        raise FormError(faults)
    return Draft(language=language, **{name: value for name, value in read.items() if isinstance(value, str)})


def read_recipient(values: Mapping[str, str]) -> tuple[str, str]:
    """Return address and name. Raises FormError."""
    read = {
        "recipient_email": read_address(values.get("recipient_email", "")) or MISSING_ADDRESS,
        "recipient_name": _line(values.get("recipient_name", ""), NAME_LIMIT),
    }
    faults = {name: value for name, value in read.items() if isinstance(value, FieldError)}
    if faults:
        raise FormError(faults)
    return str(read["recipient_email"]), str(read["recipient_name"])


def read_sender(values: Mapping[str, str]) -> str:
    """Raises FormError."""
    address = read_address(values.get("sender_email", "")) or _MISSING_OWN
    if isinstance(address, FieldError):
        raise FormError({"sender_email": address})
    return address


def _line(text: str, limit: int) -> str | FieldError:
    """Validate a header value; white space alone counts as empty."""
    if _FORBIDDEN_IN_HEADER.search(text):
        return _CONTROLS
    if (found := length(text, limit)) > limit:
        return FieldError(_TOO_LONG, {"limit": limit, "length": found})
    return text if text.strip() else ""


def read_address(text: str) -> str | FieldError:
    """Return one address with its domain as A-label (RFC 5890), or an empty string.

    DNS is not asked: an answer today says little about the day of arrival.
    """
    address = text.strip(" ")
    fault = _address_error(address)
    if fault or not address:
        return fault or ""
    try:
        # `test_environment` takes names under .test (RFC 6761 §6.2) and asks no DNS.
        return (
            validate_email(address, allow_smtputf8=False, strict=True, test_environment=True).ascii_email or _NO_ADDRESS
        )
    except EmailNotValidError:
        return _NO_ADDRESS


def _address_error(address: str) -> FieldError | None:
    """Return a clearer error than the validator's, if there is one."""
    if _FORBIDDEN_IN_HEADER.search(address):
        return _CONTROLS
    if len(address) > _ADDRESS_LIMIT:
        return FieldError(_TOO_LONG, {"limit": _ADDRESS_LIMIT, "length": len(address)})
    if address.count("@") > 1 or any(sign in address for sign in ",; "):
        return _NOT_ONE_ADDRESS
    return None if address.partition("@")[0].isascii() else _FOREIGN_LOCAL_PART


def _body(text: str) -> str | FieldError:
    """Return the text with LF line ends."""
    body = text.replace("\r\n", "\n")
    if not body.strip():
        return MISSING_BODY
    if (found := length(body, BODY_LIMIT)) > BODY_LIMIT:
        return FieldError(_TOO_LONG, {"limit": BODY_LIMIT, "length": found})
    if forbidden := _FORBIDDEN_IN_BODY.search(body):
        return FieldError(_CONTROLS_IN_BODY, {"place": forbidden.start() + 1})
    if over := excess(body):
        return FieldError(_TOO_LARGE, {"excess": over})
    return body


def _zone(text: str) -> str | FieldError:
    return text if text in ZONES else _NO_ZONE
