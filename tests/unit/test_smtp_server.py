"""The tests' SMTP server as a separate program."""

import asyncio
import re
import ssl
import sys
from pathlib import Path

import pytest

from tests.sending import HandOver, letter, transport_to

pytestmark = pytest.mark.anyio


async def test_it_logs_what_it_accepted_and_stops_when_told(tmp_path: Path) -> None:
    log = tmp_path / "accepted.log"
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.smtp_server", "--log", str(log), "--security", "tls"),
        *("--certificates", str(tmp_path), "--user", "slow", "--password", "secret"),
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
    )
    assert program.stdout is not None
    try:
        listening = re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)\n", (await program.stdout.readline()).decode())
        assert listening
        trusted = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        async with transport_to(
            int(listening[1]), security="tls", login=("slow", "secret"), trusted=trusted
        ) as transport:
            for name in ("one", "rcpt-550-5.1.1", "two"):
                message = f"Message-ID: <{name}@slow.test>\r\n\r\nhello\r\n".encode()
                await transport.send(letter(name, message), HandOver())
        assert log.read_text() == "<one@slow.test>\tone@reader.test\n<two@slow.test>\ttwo@reader.test\n"
    finally:
        program.terminate()
    assert await program.wait() == 0
