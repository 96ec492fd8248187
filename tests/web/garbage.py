"""What no honest client sends, by name: a kind of body and its bytes."""

import json
from urllib.parse import urlencode

from app.web.forms import FIELDS
from app.web.security import BODY_LIMIT

FORM = "application/x-www-form-urlencoded"
PATHS = (
    *("/letters", "/api/letters", "/language", "/admin/login", "/letters/x/withdraw", "/letters/x/erase"),
    *("/letters/x/address", "/confirm/x", "/links"),
    *("/api/letters/look", "/api/letters/x/erase", "/stop/x", "/stop/x/block"),
)
KINDS = (FORM, "multipart/form-data; boundary=x", "multipart/form-data", "application/json", "text/plain", "")
INJECTION = "a\r\nBcc: everybody@example.org\r\n\r\nhello"
GARBAGE: dict[str, tuple[str, bytes]] = {
    "no UTF-8": (FORM, b"recipient_email=a%40b.org&body=\xff\xfe\x80"),
    "half a character": (FORM, b"recipient_email=a%40b.org&body=%ED%A0%80"),
    "a huge field": (FORM, b"body=" + b"a" * (BODY_LIMIT - 10)),
    "a huge name": (FORM, b"a" * (BODY_LIMIT - 10) + b"=1"),
    "over the limit": (FORM, b"body=" + b"a" * BODY_LIMIT),
    "thousands of fields": (FORM, b"&".join(b"f%d=1" % n for n in range(20_000))),
    "thousands of the same": (FORM, b"body=1&" * 20_000),
    "only percent signs": (FORM, b"%" * 100_000),
    "only separators": (FORM, b"&" * 500_000),
    "NUL": (FORM, b"recipient_email=a%40b.org&body=%00"),
    "every control": (FORM, urlencode({"recipient_email": "a@b.org", "body": "".join(map(chr, range(32)))}).encode()),
    **{f"injection in {name}": (FORM, urlencode({"body": "x", name: INJECTION}).encode()) for name in FIELDS},
    "deep JSON": ("application/json", b"[" * 200_000),
    "deep object": ("application/json", b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "a huge number": ("application/json", b'{"body": ' + b"9" * 500_000 + b"}"),
    "no number": ("application/json", b'{"body": NaN, "recipient_email": Infinity}'),
    "a lone surrogate": ("application/json", b'{"recipient_email": "a@b.org", "body": "\\ud800"}'),
    "the same name twice": ("application/json", b'{"body": 1, "body": {}}'),
    "JSON in UTF-16": ("application/json", json.dumps({"body": "x"}).encode("utf-16")),
    "no boundary": ("multipart/form-data", b"--x\r\n\r\n--x--"),
    "a wrong boundary": ("multipart/form-data; boundary=y", b"--x\r\n\r\nhello\r\n--x--"),
    "a huge boundary": (f"multipart/form-data; boundary={'b' * 20_000}", b"--x--"),
    "an endless header": ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: " + b"a" * 100_000),
    "a part without a name": ("multipart/form-data; boundary=x", b"--x\r\n\r\nhello\r\n--x--\r\n"),
    "parts that never end": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n',
    ),
    "a file": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="body"; filename="../../a"\r\n\r\nx\r\n--x--\r\n',
    ),
}
HALVES = (
    b"",
    b"POST /letters HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\nContent-Type: %s\r\n\r\nbody="
    % FORM.encode(),
    b"POST /letters HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\nabc",
    b"GET / HTTP/1.1\r\nHost: local",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"POST /letters HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"POST /letters HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
    b"GET /\r\nHost: localhost\r\n\r\n",
    b"\0" * 5000,
)
_UPGRADE = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
NO_REQUESTS = (
    (b"GET /\r\n\r\n", b"400"),
    (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + _UPGRADE, b"404"),
    (b"GET / HTTP/1.1\r\nHost: evil.example\r\n" + _UPGRADE, b"404"),
)
"""What is not even a request to the application, and the status it gets."""
