"""A letter's text is in no file, table, log or page of others (docs/standards.md P11 to P13)."""

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import anyio.to_thread
import asyncpg
import httpx
import pytest

from tests.acceptance.seed import KEY
from tests.acceptance.servers import PLAIN, Program, Server, eventually, post_letter
from tests.smtp_server import MailServer

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PASSWORD = "correct horse battery"
LETTER = {
    "recipient_email": "quillfeather+sea@zanzibar-reader.test",
    "recipient_name": "Wilhelmina Quartz",
    "sender_email": "inkhorn@timbuktu-writer.test",
    "sender_name": "Bartholomew Jade",
    "subject": "Xylophone at dusk",
    "body": "The heron knows where I buried the marmalade. 갈매기만 아는 이야기.",
}
WORDS = ["quillfeather", "inkhorn", "heron", "marmalade", "갈매기", "Xylophone", "Quartz", "Bartholomew"]
SECRETS = [*LETTER.values(), *WORDS]
HIDDEN_FROM_THE_OPERATOR = [secret for secret in SECRETS if "@" not in secret]


def _quoting(stage: str, recipient: str) -> str:
    """Defer the reader with a reply as many servers send it, which quotes the address."""
    refused = stage == "body" and recipient.startswith("quillfeather")
    return f"451 4.3.0 <{recipient}> try later" if refused else ""


async def test_a_letters_words_are_found_nowhere(database_url: str, tmp_path: Path) -> None:
    async with MailServer(policy=_quoting) as mails:
        program = Program(
            tmp_path, DATABASE_URL=database_url, SMTP_URL=f"smtp://127.0.0.1:{mails.port}", SECRET_KEY=KEY,
            FIRST_DELAY="PT1S", SCAN_INTERVAL="PT1S", ADMIN_PASSWORD=PASSWORD,
        )  # fmt: skip
        await anyio.to_thread.run_sync(_check, program, database_url)
        assert any(b"Subject" in letter.message for letter in mails.accepted), "the receipt was not sent"


def _check(program: Program, database_url: str) -> None:
    """Have a letter refused and its receipt sent; search everywhere while the server runs and afterwards."""
    with program.serve() as server:
        token = post_letter(server.base, **LETTER).headers["location"].rpartition("/")[2]
        other = post_letter(server.base, recipient_email="other@example.org").headers["location"]
        with httpx.Client(base_url=server.base, headers={"Sec-Fetch-Site": "same-origin"}, **PLAIN) as operator:
            operator.post("/admin/login", data={"username": "admin", "password": PASSWORD})
            eventually(lambda: "try later" in operator.get("/admin").text)
            pages = b"".join([*_operator_pages(operator), *_pages(server, token, other)])
        _search("the pages", pages, [*HIDDEN_FROM_THE_OPERATOR, token])
        _search("the database", _database(database_url), [*SECRETS, token])
        server.terminate()
        _search("the database", _database(database_url), [*SECRETS, token])
        assert "settled" in server.log
        _search("the log", server.log.encode(), [*SECRETS, token, PASSWORD])


def _operator_pages(operator: httpx.Client) -> Iterator[bytes]:
    for path in ("/admin", *(f"/admin/deliveries?show={show}" for show in ("coming", "ended", "sent"))):
        answer = operator.get(path)
        assert answer.status_code == 200
        yield answer.content


def _pages(server: Server, token: str, other: str) -> Iterator[bytes]:
    """Yield pages that are visible without the letter's link: those of another letter, and errors."""
    for method, path in (
        ("GET", "/"),
        ("GET", other),
        ("GET", f"{other}/export"),
        ("GET", f"/api{other}"),
        ("GET", f"/letters/{token[:-1]}"),
        ("GET", f"/api/letters/{token[:-1]}/x"),
        ("DELETE", "/letters"),
        ("GET", "/readyz"),
        ("GET", "/outbox"),
        ("POST", f"{other}/withdraw"),
    ):
        answer = httpx.request(method, server.base + path, **PLAIN)
        yield answer.content + repr(answer.headers).encode()


def _database(url: str) -> bytes:
    """Return all bytes of the database: SQLite's files with their log, or every value that PostgreSQL gives."""
    if url.startswith("sqlite"):
        path = Path(urlsplit(url).path)
        return b"".join(each.read_bytes() for each in path.parent.glob(f"{path.name}*"))
    return asyncio.run(_postgres(url))


async def _postgres(url: str) -> bytes:
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        rows = [await connection.fetch(f"SELECT t::text FROM {table[0]} AS t") for table in tables]
    finally:
        await connection.close()
    found = "\n".join(row[0] for table in rows for row in table)
    assert "\\x01" in found, "no sealed value was read"
    return found.encode()


def _search(where: str, everything: bytes, secrets: list[str]) -> None:
    assert len(everything) > 500
    for secret in secrets:
        for form in _forms(secret):
            position = everything.find(form)
            assert position < 0, f"{secret!r} is in {where}: {everything[max(0, position - 60) : position + 60]!r}"


def _forms(secret: str) -> Iterator[bytes]:
    """Yield a text in UTF-8, as hexadecimal digits, escaped, and as base64 at each of its three offsets."""
    plain = secret.encode()
    yield plain
    yield plain.hex().encode()
    yield secret.encode("ascii", "backslashreplace")
    for offset in range(3) if len(plain) > 12 else ():  # shorter ones occur by chance
        encoded = base64.b64encode(b"\0" * offset + plain).rstrip(b"=")
        yield encoded[4 if offset else 0 : -1]
