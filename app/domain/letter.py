"""A letter as its writer wrote it."""

from dataclasses import dataclass

BODY_LIMIT = 20_000
SUBJECT_LIMIT = 200
NAME_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Draft:
    """A letter that has passed the form's checks and may be stored.

    `body` has LF line ends; a name, address or subject that was not given is an empty string;
    `timezone` is an IANA name, `language` is `en` or `ko`.
    """

    recipient_email: str
    body: str
    subject: str = ""
    recipient_name: str = ""
    sender_name: str = ""
    sender_email: str = ""
    timezone: str = "UTC"
    language: str = "en"
