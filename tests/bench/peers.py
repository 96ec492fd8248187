"""What others would write, each in a process of its own. They keep no ledger, which is in their favour.

    python -m tests.bench.peers {awaited,aiosmtplib} PORT LETTERS MESSAGE

`awaited` is the loop that everybody writes first: for each letter an EmailMessage, a connection,
and the next one when this one has been sent. `aiosmtplib` sends a ready message by
`aiosmtplib.send()`, ten at once.
"""

import asyncio
import smtplib
import sys
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib

AT_ONCE = 10
_SENDER, _READER = "letters@bench.test", "reader@d0.test"


def command(name: str, port: int, letters: int, message: Path) -> tuple[str, ...]:
    """Return how to run a peer."""
    return (sys.executable, "-m", "tests.bench.peers", name, str(port), str(letters), str(message))


async def awaited(port: int, letters: int, message: bytes) -> None:
    read = message_from_bytes(message, policy=policy.default)
    text, html = (part.get_content() for part in read.walk() if not part.is_multipart())
    for number in range(letters):
        letter = EmailMessage()
        letter["From"], letter["To"], letter["Subject"] = _SENDER, _READER, f"느린 편지 {number}"
        letter.set_content(text)
        letter.add_alternative(html, subtype="html")
        await asyncio.to_thread(_send, port, letter)


def _send(port: int, letter: EmailMessage) -> None:
    with smtplib.SMTP("127.0.0.1", port) as server:
        server.send_message(letter)


async def ten_at_once(port: int, letters: int, message: bytes) -> None:
    waiting = iter(range(letters))

    async def send() -> None:
        for _ in waiting:
            await aiosmtplib.send(
                message, sender=_SENDER, recipients=[_READER], hostname="127.0.0.1", port=port, start_tls=False
            )

    await asyncio.gather(*(send() for _ in range(AT_ONCE)))


if __name__ == "__main__":
    peer = {"awaited": awaited, "aiosmtplib": ten_at_once}[sys.argv[1]]
    asyncio.run(peer(int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]).read_bytes()))
