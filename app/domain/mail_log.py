"""Which messages of ours a mail server took over, by its log: pure.

A message counts once the server has all of it, and no more once it was refused, dropped or bounced
(docs/standards.md, S12). The lines may come in any order: rotated files are often read newest first.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

LONGEST_LINE = 1_048_576
"""Characters of a line that are read; the patterns look at the first `_LOOKED_AT` of these."""
_LOOKED_AT = 4_096
_REMEMBERED = 100_000  # keys of other people's messages, and of those whose beginning has not been seen
_ID = r"(?<![\w.+-])<?(?P<id>[A-Za-z0-9_-]{22}@[A-Za-z0-9.-]{1,253})\b>?"


class Format(NamedTuple):
    """How a product names a message (`key`), our id of it (`id`), that it has all of it, and that it is refused.

    Where `begun` has no `id`, it may stand anywhere in the line; where it is enough by itself, `taken` is None.
    """

    product: str
    begun: re.Pattern[str]
    taken: re.Pattern[str] | None
    refused: re.Pattern[str] | None


def _format(product: str, begun: str, taken: str | None, refused: str | None) -> Format:
    patterns = (re.compile(pattern.replace("ID", _ID)) if pattern else None for pattern in (begun, taken, refused))
    return Format(product, *patterns)  # type: ignore[arg-type]


_KEY = r"(?P<key>[\w.-]{1,64})"
_UUID = r"(?:\[|uuid=)(?P<key>[0-9A-Fa-f-]{36}\.\d{1,9})"  # of a transaction; its deliveries add a number
FORMATS = (
    _format(
        "Postfix",  # cleanup(8) names a message as soon as it has read the header, qmgr(8) when it has all of it
        rf"/cleanup\[[^]]{{0,20}}\]: {_KEY}: (?:resent-)?message-id=(?:ID)?",
        rf"/n?qmgr\[[^]]{{0,20}}\]: {_KEY}: from=<[^>]*>, size=",
        rf"/[\w-]{{1,32}}\[[^]]{{0,20}}\]: {_KEY}: "
        r"(?:(?:to|from)=<.*\bstatus=(?:bounced|expired|force-expired)|(?:milter-)?(?:reject|discard):)",
    ),
    _format(
        "Exim",  # https://www.exim.org/exim-html-current/doc/html/spec_html/ch-log_files.html
        rf"(?:^|\s){_KEY} <= .*\bid=ID",
        None,
        rf"(?:^|\s){_KEY} \*\* ",
    ),
    _format(
        "sendmail",  # doc/op/op.me, "System Log"
        rf"\[[^]]{{0,20}}\]: {_KEY}: from=.*\bnrcpts=[1-9]\d*, msgid=ID",
        None,
        rf"\[[^]]{{0,20}}\]: {_KEY}: (?:to=.*(?:\bdsn=5|stat=(?:User unknown|Service unavailable|Host unknown))"
        r"|Milter.*\breject=|.*lost input channel|collect: )",
    ),
    _format(
        "OpenSMTPD",  # names Message-IDs only where a filter does
        r"smtpd\[\d{1,9}\]: (?P<key>[0-9a-f]{16}) ",
        r"smtpd\[\d{1,9}\]: (?P<key>[0-9a-f]{16}) smtp message msgid=",
        r"smtpd\[\d{1,9}\]: (?P<key>[0-9a-f]{16}) .*(?:failed-command|result=\"?(?:PermFail|Reject))",
    ),
    _format(
        "Haraka",  # connection.js: `message` before the queue plugins, `queue` after them
        _UUID,
        rf"{_UUID}\b.*\bqueue code=(?:OK|CONT)\b",
        rf"{_UUID}\b.*\b(?:queue code=DENY|bounced)",
    ),
    _format(
        "Stalwart",
        r"\((?:queue\.(?:authenticated-)?message-queued|message-ingest\.[\w-]+)\) (?:queueId = (?P<key>\d+))?",
        None,
        r"\((?:delivery\.dsn-perm-fail|delivery\.failed|queue\.quota-exceeded)\) queueId = (?P<key>\d+)",
    ),
    _format(
        "maddy",  # names Message-IDs only in debug lines
        r"\"msg_id\":\"(?P<key>\w{1,64})\"",
        r"\baccepted\s+\{\"msg_id\":\"(?P<key>\w{1,64})\"",
        r"\b(?:DATA error|aborted|rejected|not delivered)\b.{0,99}\"msg_id\":\"(?P<key>\w{1,64})\"",
    ),
    _format("a list of Message-IDs", r"^(?P<key>)ID(?:\s|$)", None, None),
)
_AMAVIS = re.compile(r"amavis[\w-]{0,9}\[\d{0,9}\]: \S{1,40} (Passed|Blocked) ")
_AMAVIS_ID = re.compile("Message-ID: " + _ID)
_MESSAGE_ID = re.compile(_ID)
_RFC_5424 = re.compile(r"(?:<\d{1,3}>)?1 \S+ \S+ (\S{1,64}) (\S{1,128}) \S+ (?:-|(?:\[[^]]{0,999}\]){1,9}) ?\ufeff?")
_TAKEN_EVENTS = frozenset({"receive", "submit", "send", "deliver", "delivered", "delivery"})
_REFUSED_EVENTS = frozenset({"fail", "failed", "badmail", "reject", "bounce", "rendering failure"})
_EVENTS = _TAKEN_EVENTS | _REFUSED_EVENTS
_TABLE = re.compile(r'"?[\w-]+"?(?:,"?[\w-]+"?)+')  # the names of a table's columns
_Remembered = TypeVar("_Remembered")


class _Session:
    """What is known of one try to hand a message over."""

    __slots__ = ("message_id", "refused", "taken")

    def __init__(self) -> None:
        self.message_id = ""
        self.taken = self.refused = False


class MailLog:
    """Takes lines of logs, and tells what they say was received. It remembers our own messages and little else."""

    def __init__(self) -> None:
        self._sessions: dict[tuple[str, str], _Session] = {}
        self._open: dict[tuple[str, str], _Session] = {}  # without an id so far
        self._strangers: dict[tuple[str, str], None] = {}
        self._filtered: Counter[str] = Counter()
        self._columns: list[str] = []

    def read(self, line: str) -> None:
        """Take one line, without its end."""
        if line.startswith("{"):
            self._read_json(line)
            return
        line = line[:_LOOKED_AT]
        if self._read_table(line):
            return
        if syslog := _RFC_5424.match(line):
            line = f"{syslog[1]}[{syslog[2]}]: {line[syslog.end() :]}"
        self._read_text(line)

    def end_file(self) -> None:
        """Forget what holds for one file alone: the columns of a table."""
        self._columns = []

    def message(self, message_id: str) -> None:
        """Take the Message-ID of a message that lies in the server's mailbox."""
        if found := _MESSAGE_ID.fullmatch(message_id.strip()):
            self._taken("message", found["id"])

    def received(self) -> Iterator[str]:
        """Return the Message-IDs of what was received, each once."""
        tries: Counter[str] = Counter()
        for session in self._sessions.values():
            tries[session.message_id] += session.taken and not session.refused
        tries.update(self._filtered)
        return (f"<{message_id}>" for message_id, number in tries.items() if number > 0)

    def _read_text(self, line: str) -> None:
        if amavis := _AMAVIS.search(line):
            if found := _AMAVIS_ID.search(line):
                self._filtered[found["id"]] += 1 if amavis[1] == "Passed" else -1
            return
        named = _MESSAGE_ID.search(line)
        for form in FORMATS:
            has_id = "id" in form.begun.groupindex
            if (has_id or named) and (begun := form.begun.search(line)):
                message_id = begun["id"] if has_id else named and named["id"]
                self._begin(form, begun["key"] or message_id or "", message_id)
            elif form.taken and (taken := form.taken.search(line)):
                self._mark(form.product, taken["key"]).taken = True
            elif form.refused and (refused := form.refused.search(line)):
                self._mark(form.product, refused["key"]).refused = True
            else:
                continue
            return

    def _begin(self, form: Format, key: str, message_id: str | None) -> None:
        place = form.product, key
        if message_id is None:  # somebody else's
            self._open.pop(place, None)
            _remember(self._strangers, place, None)
            return
        self._strangers.pop(place, None)
        before = self._sessions.get(place)
        if before and before.message_id != message_id:  # Postfix uses its short keys again
            self._sessions[form.product, f"{key} {len(self._sessions)}"] = self._sessions.pop(place)
        opened = self._open.pop(place) if place in self._open else _Session()
        session = self._sessions.setdefault(place, opened)
        session.message_id = message_id
        session.taken |= form.taken is None

    def _mark(self, product: str, key: str) -> _Session:
        place = product, key
        if place in self._sessions:
            return self._sessions[place]
        if place in self._strangers:
            return _Session()
        return self._open.get(place) or _remember(self._open, place, _Session())

    def _taken(self, product: str, message_id: str, *, refused: bool = False) -> None:
        session = self._sessions.setdefault((product, message_id), _Session())
        session.message_id = message_id
        session.taken |= not refused
        session.refused |= refused

    def _read_json(self, line: str) -> None:
        """Take an entry of journald, or an event of Amazon SES, as it is or in a notification of SNS or EventBridge."""
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            return
        if not isinstance(entry, dict):
            return
        if isinstance(inner := entry.get("Message"), str) and inner.startswith("{"):
            self._read_json(inner)
        elif isinstance(entry.get("detail"), dict):
            self._read_event(entry["detail"])
        elif isinstance(entry.get("MESSAGE"), str):
            program = entry.get("SYSLOG_IDENTIFIER") or entry.get("_COMM") or ""
            self._read_text(f"{program}[{entry.get('_PID', '')}]: {entry['MESSAGE']}"[:_LOOKED_AT])
        else:
            self._read_event(entry)

    def _read_event(self, event: Mapping[str, Any]) -> None:
        kind = str(event.get("eventType") or event.get("notificationType") or "").lower()
        mail = event.get("mail")
        if not isinstance(mail, dict) or kind not in _EVENTS:
            return
        headers = [each for each in mail.get("headers") or [] if isinstance(each, dict)]
        names = [str(each.get("value")) for each in headers if str(each.get("name")).lower() == "message-id"]
        names.append(str((mail.get("commonHeaders") or {}).get("messageId")))
        for name in names:
            if found := _MESSAGE_ID.fullmatch(name):
                self._taken("SES", found["id"], refused=kind in _REFUSED_EVENTS)

    def _read_table(self, line: str) -> bool:
        """Take a line of Exchange's message tracking, or of a message trace, whose columns a first line names."""
        if line.startswith("#Fields:") or _TABLE.fullmatch(line):
            columns = _columns(line.removeprefix("#Fields:"))
            self._columns = columns if "messageid" in columns else self._columns
            return True
        if not self._columns:
            return False
        row = dict(zip(self._columns, next(csv.reader([line]), []), strict=False))
        event = (row.get("eventid") or row.get("status") or "").lower()
        found = _MESSAGE_ID.fullmatch(row.get("messageid", "").strip())
        if found and event in _EVENTS:
            self._taken("Exchange", found["id"], refused=event in _REFUSED_EVENTS)
        return True


def _remember(places: dict[tuple[str, str], _Remembered], place: tuple[str, str], what: _Remembered) -> _Remembered:
    """Keep one more, and let the oldest go where there are too many."""
    if len(places) >= _REMEMBERED:
        del places[next(iter(places))]
    places[place] = what
    return what


def _columns(line: str) -> list[str]:
    return [re.sub("[^a-z]", "", name.lower()) for name in line.split(",")]
