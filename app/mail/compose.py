"""From a letter's values to the bytes of its mail, without side effects."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.utils import format_datetime, parseaddr
from functools import lru_cache
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from babel.dates import format_date

from app.mail import headers
from app.mail.envelope import Envelope, Mail
from app.mail.message_template import ENTRY, MessageTemplate, TemplateFactory
from app.templating import long_date, place_name, refusal_text, render, translations

_DAY = {"en": "d MMMM y", "ko": "y년 M월 d일"}
_MINUTE = 60
_CRLF = re.compile("\r\n|\r|\n")
_POSTMARK = {"en": "d MMM y", "ko": "y. M. d."}


@dataclass(frozen=True, slots=True)
class MailPreview:
    sender: str
    subject: str
    text: str
    html: str


class Composer:
    """`sender` is `Name <address>` on the operator's own domain, `reply_to` an address of theirs or
    empty, `origin` the address of the pages. `operator_name` and `abuse_address` may be empty.
    """

    def __init__(self, sender: str, reply_to: str, origin: str, operator_name: str, abuse_address: str) -> None:
        name, self._address = parseaddr(sender)
        self._templates = TemplateFactory(
            sender=Address(name or "Slow Mailbox", addr_spec=self._address),
            reply_to=reply_to,
            values={
                "origin": origin,
                "host": urlsplit(origin).netloc,
                "operator_name": operator_name,
                "abuse_address": abuse_address,
            },
        )
        self._cache: dict[tuple[object, ...], MessageTemplate] = {}

    def compose(self, mail: Mail, now: datetime) -> Envelope:
        """Return the message, dated `now`: the time of sending, not of writing.

        Raises ValueError where an address or Message-ID is malformed, a name or subject holds a
        control character, or a text holds half of a surrogate pair.
        """
        notice = mail.occasion.is_notice
        values = _notice_values(mail) if notice else _letter_values(mail, now)
        name = "" if notice else values["recipient_name"]
        message = self._template(mail, values).fill(
            values,
            to=headers.mailbox(name, headers.address(mail.recipient_email)),
            date=_date(now.replace(microsecond=0)),
            message_id=headers.message_id(mail.message_id),
        )
        return Envelope(sender="" if notice else self._address, recipient=mail.recipient_email, message=message)

    def preview(self, mail: Mail, now: datetime) -> MailPreview:
        """Return a letter as it will arrive at `now`, with LF line ends.

        Its style is in style elements, not inlined: a page can then name all of it in its
        Content-Security-Policy.
        """
        letter = _letter_values(mail, now)
        values = {**self._templates.values, **letter, "occasion": mail.occasion}
        subject = render("emails/letter/subject.txt", mail.language, **values).strip()
        values["title"] = subject
        return MailPreview(
            sender=str(self._templates.sender),
            subject=subject,
            text=render("emails/letter/body.txt", mail.language, **values).replace("\r\n", "\n"),
            html=render("emails/letter/body.html", mail.language, **values).replace("\r\n", "\n"),
        )

    def _template(self, mail: Mail, values: dict[str, str]) -> MessageTemplate:
        kind = (mail.occasion, mail.language, *map(bool, values.values()))
        if kind not in self._cache:
            self._cache[kind] = self._templates.template(
                mail.occasion,
                mail.language,
                present=[name for name, value in values.items() if value],
                absent=[name for name, value in values.items() if not value],
            )
        return self._cache[kind]


def _letter_values(mail: Mail, now: datetime) -> dict[str, str]:
    second = mail.second_send_at
    return {
        "body": _CRLF.sub("\r\n", mail.body) if "\r" in mail.body else mail.body.replace("\n", "\r\n"),
        "subject": headers.one_line(mail.subject),
        "recipient_name": headers.one_line(mail.recipient_name),
        "sender_name": headers.one_line(mail.sender_name),
        "only": "" if second else "yes",
        "stop_url": mail.stop_url,
        **_letter_dates(
            _minute(mail.written_at),
            _minute(now),
            _minute(mail.send_at),
            _minute(second) if second and second > now else None,
            mail.timezone,
            mail.language,
        ),
    }


@lru_cache(4096)
def _letter_dates(written: int, now: int, first: int, again: int | None, zone: str, language: str) -> Mapping[str, str]:
    """Return the dates in a letter. Letters that are due together were mostly written in the same
    minute, so Babel's slow work is cached.
    """
    return {
        "written": _moment(written, zone, language),
        "day": _day(written, zone, _DAY[language], language),
        "arrived": _day(now, zone, _POSTMARK[language], language),
        "waited": _waited(written, now, zone, language),
        "first_date": _moment(first, zone, language),
        "again_date": "" if again is None else _moment(again, zone, language),
    }


def _list_values(mail: Mail) -> dict[str, str]:
    values: dict[str, str] = {}
    for number, entry in enumerate(mail.entries):
        written = _moment(_minute(entry.written_at), mail.timezone, mail.language)
        values |= zip((f"{name}_{number}" for name in ENTRY), (entry.page_url, entry.reader, written), strict=True)
    return values


def _notice_values(mail: Mail) -> dict[str, str]:
    """Nothing that the writer wrote: their address is not verified."""
    second = mail.second_send_at
    return {
        **_list_values(mail),
        "page_url": mail.page_url,
        "reader": mail.reader,
        "reason": " ".join(mail.reason.split()),
        "because": refusal_text(mail.refused_for, mail.language) if mail.refused_for else "",
        "untried": "yes" if mail.untried else "",
        "confirm_url": mail.confirm_url,
        "renewed": "yes" if mail.renewed else "",
        "stop_url": mail.stop_url if mail.confirm_url else "",  # it may be the reader who is to confirm
        "mailbox_url": mail.mailbox_url,
        "written": _moment(_minute(mail.written_at), mail.timezone, mail.language),
        "first_date": _moment(_minute(mail.send_at), mail.timezone, mail.language),
        "second_date": _moment(_minute(second), mail.timezone, mail.language) if second else "",
    }


def _minute(moment: datetime) -> int:
    """Return minutes since 1970, which hash much faster than datetimes."""
    return int(moment.timestamp() // _MINUTE)


def _local(minute: int, zone: str) -> datetime:
    return datetime.fromtimestamp(minute * _MINUTE, ZoneInfo(zone))


@lru_cache(4096)
def _moment(minute: int, zone: str, language: str) -> str:
    """Return a moment with its time zone's place: a mail may be read anywhere."""
    moment, place = long_date(_local(minute, zone), zone, language), place_name(zone, language)
    if place == "UTC":
        return f"{moment} (UTC)"
    return translations(language).gettext("%(moment)s (%(place)s time)") % {"moment": moment, "place": place}


def _day(minute: int, zone: str, pattern: str, language: str) -> str:
    return format_date(_local(minute, zone).date(), pattern, language)


def _waited(written: int, now: int, zone: str, language: str) -> str:
    """Return the number of calendar days in the writer's zone, in words; empty for none."""
    days = (_local(now, zone).date() - _local(written, zone).date()).days
    if days < 1:
        return ""
    return translations(language).ungettext("%(days)d day", "%(days)d days", days) % {"days": days}


_date = lru_cache(16)(format_datetime)
