"""Logs of mail servers, in lines as these products write them: of some messages, only TAKEN was received."""

import json
from collections.abc import Callable

TAKEN = "CJPIWdgnYjAqb5K5l4Oa1A@post.example.org"
OTHER = "-mvp4lSZF6fbz7gwxT0yGQ@post.example.org"
BROKEN = "__2MPviie6BDBlXuVMih8A@post.example.org"
BOUNCED = "12-DVsJxCfgw1DFHX-iw7w@post.example.org"
POSTFIX = (
    ("cleanup", f"4jWwdQ5Qx3zMl8f: message-id=<{BROKEN}>"),
    ("cleanup", f"4jWwdy0b23zMkrF: message-id=<{TAKEN}>"),
    ("cleanup", "4jWwdz0b23zMkrG: message-id=<somebody@else.example>"),
    ("cleanup", f"4jWwdB0b23zMkrH: message-id=<{BOUNCED}>"),
    ("smtpd", "lost connection after DATA (14079 bytes) from localhost[127.0.0.1]"),
    ("qmgr", "4jWwdy0b23zMkrF: from=<>, size=8850, nrcpt=1 (queue active)"),
    ("qmgr", "4jWwdz0b23zMkrG: from=<x@else.example>, size=885, nrcpt=1 (queue active)"),
    ("qmgr", "4jWwdB0b23zMkrH: from=<letters@post.example.org>, size=885, nrcpt=1 (queue active)"),
    (
        "smtp",
        "4jWwdB0b23zMkrH: to=<r@x.test>, relay=mx[192.0.2.1]:25, delay=1, dsn=5.1.1, status=bounced (host said no)",
    ),
    ("smtp", "4jWwdy0b23zMkrF: to=<s@x.test>, relay=mx[192.0.2.1]:25, delay=1, dsn=2.0.0, status=sent (250 ok)"),
    ("qmgr", "4jWwdy0b23zMkrF: removed"),
)


def bsd() -> list[str]:
    return [f"Nov 21 15:11:06 post postfix/{program}[13976]: {text}" for program, text in POSTFIX]


def iso() -> list[str]:
    return [f"2026-11-21T15:11:06.123456+09:00 post postfix/{program}[13976]: {text}" for program, text in POSTFIX]


def rfc5424() -> list[str]:
    return [
        f'<22>1 2026-11-21T15:11:06Z post postfix/{program} 13976 - [meta sequenceId="29"][x y="z"] {text}'
        for program, text in POSTFIX
    ]


def journald() -> list[str]:
    return [
        json.dumps({"_PID": "13976", "MESSAGE": text, "SYSLOG_IDENTIFIER": f"postfix/{program}"})
        for program, text in POSTFIX
    ]


EXIM = [
    f"2026-11-30 21:13:01 1xY8gH-0006uX-0D <= letters@post.example.org H=(me) [127.0.0.1] P=esmtp S=7279 id={TAKEN}",
    f"2026-11-30 21:13:01 1xY8gH-0006uX-0E <= letters@post.example.org H=(me) [127.0.0.1] P=esmtp S=7279 id={BOUNCED}",
    f"2026-11-30 21:13:01 1xY8gH-0006uX-0F H=(me) [127.0.0.1] F=<l@post.example.org> rejected after DATA: {BROKEN}",
    '2026-11-30 21:13:01 1xY8gH-0006uX-0D => r@x.test R=dnslookup T=remote_smtp H=mx.x.test [192.0.2.1] C="250 ok"',
    "2026-11-30 21:13:02 1xY8gH-0006uX-0E ** r@x.test R=dnslookup T=remote_smtp: 550 no such user",
    "2026-11-30 21:13:02 1xY8gH-0006uX-0D Completed",
]
SENDMAIL = [
    (
        f"Nov 21 15:11:06 post sm-mta[77]: 5ALBD1Ab012345: from=<l@post.example.org>, size=77, class=0, nrcpts=1, "
        f"msgid=<{TAKEN}>, proto=ESMTP, daemon=MTA, relay=localhost [127.0.0.1]"
    ),
    "Nov 21 15:11:06 post sm-mta[78]: 5ALBD1Ab012345: to=<r@x.test>, delay=00:00:01, dsn=2.0.0, stat=Sent (ok)",
    (
        f"Nov 21 15:11:06 post sm-mta[77]: 5ALBD1Ab012346: from=<l@post.example.org>, size=77, class=0, nrcpts=1, "
        f"msgid=<{BOUNCED}>, proto=ESMTP, daemon=MTA, relay=localhost [127.0.0.1]"
    ),
    "Nov 21 15:11:06 post sm-mta[78]: 5ALBD1Ab012346: to=<r@x.test>, delay=00:00:01, dsn=5.1.1, stat=User unknown",
    (
        f"Nov 21 15:11:06 post sm-mta[77]: 5ALBD1Ab012347: from=<l@post.example.org>, size=0, class=0, nrcpts=0, "
        f"msgid=<{BROKEN}>, proto=ESMTP, daemon=MTA, relay=localhost [127.0.0.1]"
    ),
]
UUID = "D33D6290-C923-4DAC-A4B4-D0E7B8FAF010"
HARAKA = [
    f"2026-12-01T22:15:14.000Z [NOTICE] [{UUID}.1] [core] message mid=<{TAKEN}> size=451 rcpts=1/0/0 code=CONT",
    f'2026-12-01T22:15:14.000Z [NOTICE] [{UUID}.1] [core] queue code=CONT msg="Message Queued ({UUID}.1)"',
    f"2026-12-01T22:15:14.000Z [NOTICE] [{UUID}.2] [core] message mid=<{BROKEN}> size=451 rcpts=1/0/0 code=CONT",
    f'2026-12-01T22:15:14.000Z [NOTICE] [{UUID}.2] [core] queue code=DENY msg="no"',
    f"level=NOTICE uuid={UUID}.3 source=core message=message mid=<{BOUNCED}> size=451",
    f"level=NOTICE uuid={UUID}.3 source=core message=queue code=OK",
    f"2026-12-01T22:15:14.000Z [NOTICE] [{UUID}.3.1] [outbound] bounced domain=x.test",
]
STALWART = [
    (
        "2026-12-01T22:15:14Z INFO Queued message submission for delivery (queue.authenticated-message-queued) "
        f'queueId = 3133940, from = "l@post.example.org", size = 1543, messageId = "<{TAKEN}>"'
    ),
    (
        "2026-12-01T22:15:14Z INFO Queued message submission for delivery (queue.authenticated-message-queued) "
        f'queueId = 3133941, from = "l@post.example.org", size = 1543, messageId = "<{BOUNCED}>"'
    ),
    "2026-12-01T22:15:14Z INFO Permanent failure (delivery.dsn-perm-fail) queueId = 3133941, code = 550",
    f'2026-12-01T22:15:14Z INFO Message rejected (smtp.spam-reject) messageId = "<{BROKEN}>"',
]
MADDY = [
    f'[debug] submission: header\t{{"msg_id":"552598d7","message_id":"<{TAKEN}>"}}',
    'submission: accepted\t{"msg_id":"552598d7"}',
    f'[debug] submission: header\t{{"msg_id":"552598d8","message_id":"<{BROKEN}>"}}',
    'submission: DATA error\t{"msg_id":"552598d8","reason":"552 Maximum message size exceeded"}',
    'submission: aborted\t{"msg_id":"552598d8"}',
]
OPENSMTPD = [
    f"May 06 20:21:22 post smtpd[3920]: f274cf34b7d0786b smtp header message-id=<{TAKEN}>",
    "May 06 20:21:22 post smtpd[3920]: f274cf34b7d0786b smtp message msgid=78e5c402 size=1118 nrcpt=1 proto=ESMTP",
    f"May 06 20:21:22 post smtpd[3920]: f274cf34b7d0786c smtp header message-id=<{BROKEN}>",
    'May 06 20:21:22 post smtpd[3920]: f274cf34b7d0786c smtp failed-command command="" result="550 rejected"',
]
EXCHANGE = [
    "#Software: Microsoft Exchange Server",
    "#Fields: date-time,client-ip,source,event-id,internal-message-id,message-id,recipient-address,recipient-status",
    f"2026-12-01T22:15:14Z,127.0.0.1,SMTP,RECEIVE,1,<{TAKEN}>,r@x.test,",
    f'2026-12-01T22:15:14Z,127.0.0.1,SMTP,SEND,1,<{TAKEN}>,r@x.test,"250 2.1.5 OK, taken"',
    f"2026-12-01T22:15:14Z,127.0.0.1,SMTP,RECEIVE,2,<{BOUNCED}>,r@x.test,",
    f"2026-12-01T22:15:14Z,127.0.0.1,ROUTING,RESOLVE,2,<{BOUNCED}>,r@x.test,",
    f'2026-12-01T22:15:14Z,127.0.0.1,DNS,FAIL,2,<{BOUNCED}>,r@x.test,"550 5.1.1, no"',
    f"2026-12-01T22:15:14Z,127.0.0.1,AGENT,DEFER,3,<{BROKEN}>,r@x.test,",
]
TRACE = [
    '"Received","SenderAddress","Status","MessageId"',
    f'"2026-12-01","l@post.example.org","Delivered","<{TAKEN}>"',
    f'"2026-12-01","l@post.example.org","Failed","<{BOUNCED}>"',
]


def ses_event(kind: str, message_id: str) -> dict[str, object]:
    headers = [{"name": "From", "value": "l@post.example.org"}, {"name": "Message-ID", "value": f"<{message_id}>"}]
    return {"eventType": kind, "mail": {"messageId": "0100-000000", "headers": headers}}


SES = [
    json.dumps(ses_event("Send", TAKEN)),
    json.dumps({"Type": "Notification", "Message": json.dumps(ses_event("Send", BOUNCED))}),
    json.dumps({"detail-type": "Email Bounced", "detail": ses_event("Bounce", BOUNCED)}),
    json.dumps(ses_event("Reject", BROKEN)),
    "{[" * 20_000,
    "{not json",
]
AMAVIS = [
    (
        "Nov 30 21:00:00 mx amavis[8]: (0008-00) Passed CLEAN {RelayedOutbound}, <l@post.example.org> -> <r@x.test>, "
        f"Queue-ID: 4jW, Message-ID: <{TAKEN}>, mail_id: x, Hits: 0, queued_as: 4jX"
    ),
    (
        "Nov 30 21:00:00 mx amavis[8]: (0008-00) Blocked SPAM {RejectedOutbound}, <l@post.example.org> -> <r@x.test>, "
        f"Message-ID: <{BROKEN}>, mail_id: x, Hits: 20"
    ),
    "Nov 30 21:00:00 mx postfix/cleanup[9]: 4jA: message-id=<" + BOUNCED + ">",
    "Nov 30 21:00:00 mx postfix/qmgr[9]: 4jA: from=<l@post.example.org>, size=8850, nrcpt=1 (queue active)",
    (
        "Nov 30 21:00:00 mx amavis[8]: (0008-00) Blocked SPAM {DiscardedOutbound}, <l@post.example.org> -> <r@x.test>, "
        f"Queue-ID: 4jA, Message-ID: <{BOUNCED}>, mail_id: x, Hits: 20"
    ),
    "Nov 30 21:00:00 mx postfix/smtp[9]: 4jA: to=<r@x.test>, relay=127.0.0.1, status=sent (250 2.7.0 Ok, discarded)",
]
LIST = [f"<{TAKEN}> r@x.test", f"noise <{BROKEN}>"]
LOGS: dict[str, Callable[[], list[str]]] = {
    "Postfix in BSD": bsd,
    "Postfix in ISO": iso,
    "Postfix in RFC 5424": rfc5424,
    "Postfix in journald": journald,
    "Exim": lambda: EXIM,
    "sendmail": lambda: SENDMAIL,
    "Haraka": lambda: HARAKA,
    "Stalwart": lambda: STALWART,
    "maddy": lambda: MADDY,
    "OpenSMTPD": lambda: OPENSMTPD,
    "Exchange": lambda: EXCHANGE,
    "Exchange Online": lambda: TRACE,
    "SES": lambda: SES,
    "amavis": lambda: AMAVIS,
    "a list": lambda: LIST,
}
