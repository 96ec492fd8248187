"""From a letter's plain values to the bytes of its mail: pure."""

from datetime import datetime
from email.headerregistry import Address
from email.utils import format_datetime, parseaddr
from functools import lru_cache
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from babel.dates import format_date

from app.mail import headers
from app.mail.envelope import Envelope, Mail
from app.mail.skeleton import Skeleton, Stationery
from app.rendering import long_date, translations

_DAY = {"en": "d MMMM y", "ko": "y년 M월 d일"}
_POSTMARK = {"en": "d MMM y", "ko": "y. M. d."}


class Composer:
    """Writes the mails of one operator.

    `sender` is `Name <address>` on the operator's own domain, `reply_to` an address of theirs or
    empty, `origin` the address of the pages. `operator_name` and `abuse_address` may be empty.
    """

    def __init__(self, sender: str, reply_to: str, origin: str, operator_name: str, abuse_address: str) -> None:
        name, self._address = parseaddr(sender)
        self._stationery = Stationery(
            sender=Address(name or "Slow Mailbox", addr_spec=self._address),
            reply_to=reply_to,
            values={
                "origin": origin,
                "host": urlsplit(origin).netloc,
                "operator_name": operator_name,
                "abuse_address": abuse_address,
            },
        )
        self._skeletons: dict[tuple[object, ...], Skeleton] = {}

    def compose(self, mail: Mail, now: datetime) -> Envelope:
        """Return the finished message, dated `now`: the time of sending, not of writing.

        Raises ValueError where an address or Message-ID is malformed, a name or subject holds a
        control character, or a text holds half of a surrogate pair.
        """
        notice = mail.occasion.is_notice
        values = _notice_values(mail) if notice else _letter_values(mail, now)
        name = "" if notice else values["recipient_name"]
        message = self._skeleton(mail, values).fill(
            values,
            to=headers.mailbox(name, headers.address(mail.recipient_email)),
            date=_date(now.replace(microsecond=0)),
            message_id=headers.message_id(mail.message_id),
        )
        return Envelope(sender="" if notice else self._address, recipient=mail.recipient_email, message=message)

    def _skeleton(self, mail: Mail, values: dict[str, str]) -> Skeleton:
        """Return the skeleton for these values, which is made when it is first asked for."""
        kind = (mail.occasion, mail.language, *map(bool, values.values()))
        if kind not in self._skeletons:
            self._skeletons[kind] = self._stationery.skeleton(
                mail.occasion,
                mail.language,
                present=[name for name, value in values.items() if value],
                absent=[name for name, value in values.items() if not value],
            )
        return self._skeletons[kind]


def _letter_values(mail: Mail, now: datetime) -> dict[str, str]:
    second = mail.second_send_at
    return {
        "body": mail.body.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n"),
        "subject": headers.one_line(mail.subject),
        "recipient_name": headers.one_line(mail.recipient_name),
        "sender_name": headers.one_line(mail.sender_name),
        "written": _moment(mail.written_at, mail),
        "day": _day(mail.written_at, mail, _DAY),
        "arrived": _day(now, mail, _POSTMARK),
        "waited": _waited(mail, now),
        "first_date": _moment(mail.send_at, mail),
        "again_date": _moment(second, mail) if second and second > now else "",
        "only": "" if second else "yes",
        "stop_url": mail.stop_url,
    }


def _notice_values(mail: Mail) -> dict[str, str]:
    """Return what a notice may say: nothing the writer wrote, since nobody checked that address."""
    return {
        "page_url": mail.page_url,
        "reader": mail.reader,
        "reason": " ".join(mail.reason.split()),
        "written": _moment(mail.written_at, mail),
        "first_date": _moment(mail.send_at, mail),
        "second_date": _moment(mail.second_send_at, mail) if mail.second_send_at else "",
    }


def _moment(moment: datetime, mail: Mail) -> str:
    return _long_date(moment.replace(second=0, microsecond=0), mail.timezone, mail.language)


def _day(moment: datetime, mail: Mail, patterns: dict[str, str]) -> str:
    there = moment.astimezone(ZoneInfo(mail.timezone)).date()
    return _short_date(there, patterns[mail.language], mail.language)


def _waited(mail: Mail, now: datetime) -> str:
    """Return how many midnights the letter saw where it was written, in words, or nothing for none."""
    zone = ZoneInfo(mail.timezone)
    days = (now.astimezone(zone).date() - mail.written_at.astimezone(zone).date()).days
    if days < 1:
        return ""
    return translations(mail.language).ungettext("%(days)d day", "%(days)d days", days) % {"days": days}


# Letters that are due together were mostly written together: Babel's ten microseconds are spent once.
_long_date = lru_cache(4096)(long_date)
_short_date = lru_cache(4096)(format_date)
_date = lru_cache(16)(format_datetime)
