"""Messages as %-formats.

`EmailMessage`, Jinja and css-inline take some milliseconds for a message. So they write each kind
once, with a mark in place of each value; the marks become the fields of a %-format, which a letter
fills in microseconds. Marks are never searched for in a person's text.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from urllib.parse import urlsplit

from css_inline import CSSInliner
from pybase64 import encodebytes

from app.domain.status import Occasion
from app.mail import headers
from app.templating import render

ENTRY = ("page_url", "reader", "written")
"""The values of a row in a list of letters; their names end in `_` and the row's number."""

_POLICY = policy.SMTP.clone(max_line_length=76)  # RFC 2045 §6.8
_BOUNDARY = "=_slow_mailbox"  # never a line of base64: two hyphens stand before it
_STYLES = CSSInliner(load_remote_stylesheets=False)
_MARK = re.compile("\ue000([a-z_0-9]+)\ue001")
_ENTITIES = ((b"&", b"&amp;"), (b"<", b"&lt;"), (b">", b"&gt;"), (b'"', b"&#34;"), (b"'", b"&#39;"))
_OPEN_FIELD = re.compile(rb"(?m)^(Date|To|Subject|Message-ID|List-Unsubscribe): [^\r]*")


@dataclass(frozen=True, slots=True)
class MessageTemplate:
    subject: str
    text: bytes
    html: bytes
    message: bytes
    lines: Mapping[str, bytes]  # the names of the single-line values (all but `body`), as text and as octets

    def fill(self, values: Mapping[str, str], *, to: bytes, date: str, message_id: str) -> bytes:
        """Return the message. `values` are plain text, `body` with CRLF line ends; `to`, `date` and `message_id`
        are header fields already.
        """
        title, body = self.subject % values, values.get("body", "").encode()
        lines = "\n".join([title, *[values[name] for name in self.lines]]).encode()
        return self.message % {
            b"Date": date.encode(),
            b"To": to,
            b"Subject": headers.unstructured(title),
            b"Message-ID": message_id.encode(),
            b"List-Unsubscribe": f"<{values.get('stop_url') or values.get('mailbox_url', '')}>".encode(),
            b"text": _base64(self.text % self._named(body, lines)),
            b"html": _base64(self.html % self._named(_escaped(body), _escaped(lines))),
        }

    def _named(self, body: bytes, lines: bytes) -> dict[bytes, bytes]:
        """Splitting encoded lines costs less than encoding and escaping each."""
        title, *values = lines.split(b"\n")
        return {b"body": body, b"title": title, **dict(zip(self.lines.values(), values, strict=True))}


@dataclass(frozen=True, slots=True)
class TemplateFactory:
    sender: Address
    reply_to: str
    values: Mapping[str, str]  # the same for all mails of an operator

    def template(
        self, occasion: Occasion, language: str, present: Iterable[str], absent: Iterable[str]
    ) -> MessageTemplate:
        folder = f"emails/{occasion if occasion.is_notice else 'letter'}"
        marks = {name: f"\ue000{name}\ue001" for name in ("title", *present)}
        common = {"occasion": occasion, "entries": _entries(marks)}
        values = {**self.values, **dict.fromkeys(absent, ""), **marks, **common}
        return MessageTemplate(
            subject=_format(render(f"{folder}/subject.txt", language, **values).strip()).decode(),
            text=_format(render(f"{folder}/body.txt", language, **values)),
            html=_format(_STYLES.inline(render(f"{folder}/body.html", language, **values))),
            message=self._message(can_be_stopped=not marks.keys().isdisjoint(("stop_url", "mailbox_url"))),
            lines={name: name.encode() for name in marks if name not in ("title", "body")},
        )

    def _message(self, *, can_be_stopped: bool) -> bytes:
        message = EmailMessage(_POLICY)
        message["Date"] = "Thu, 01 Jan 1970 00:00:00 +0000"
        message["From"] = self.sender
        if self.reply_to:
            message["Reply-To"] = self.reply_to
        message["To"] = "reader@example.org"
        message["Subject"] = "A letter"
        message["Message-ID"] = "<letter@example.org>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834 §5
        message["X-Auto-Response-Suppress"] = "OOF, AutoReply"
        if can_be_stopped and urlsplit(self.values["origin"]).scheme == "https":  # row E7
            message["List-Id"] = f"<slow-mailbox.{self.sender.domain}>"  # RFC 2919
            message["List-Unsubscribe"] = "<https://example.org>"
            message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"  # RFC 8058
        message.set_content("text", cte="base64")
        message.add_alternative("html", subtype="html", cte="base64")
        message.set_boundary(_BOUNDARY)
        for each in message.iter_parts():
            del each["MIME-Version"]  # the message has one
        result = _OPEN_FIELD.sub(rb"\1: %(\1)s", message.as_bytes().replace(b"%", b"%%"))
        for part in ("text", "html"):
            result = result.replace(_base64(f"{part}\r\n".encode()), f"%({part})s".encode())
        return result


def _entries(marks: Mapping[str, str]) -> list[dict[str, str]]:
    count = sum(name.startswith(f"{ENTRY[0]}_") for name in marks)
    return [{name: marks[f"{name}_{number}"] for name in ENTRY} for number in range(count)]


def _format(rendered: str) -> bytes:
    return _MARK.sub(r"%(\1)s", rendered.replace("%", "%%").replace("\n", "\r\n")).encode()


def _base64(octets: bytes) -> bytes:
    return encodebytes(octets)[:-1].replace(b"\n", b"\r\n")


def _escaped(octets: bytes) -> bytes:
    """`markupsafe.escape` for UTF-8, without decoding."""
    for mark, entity in _ENTITIES:
        octets = octets.replace(mark, entity)
    return octets
