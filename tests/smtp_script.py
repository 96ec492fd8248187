"""A raw server on loopback that follows a script, for what a proper SMTP server would never do."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

Answering = Callable[[str, str], str]
"""From a verb (`.` for the final dot) and the envelope so far to a reply."""

USUAL = {
    "RSET": "250 2.0.0 forgotten\n",
    "MAIL": "250 2.1.0 ok\n",
    "RCPT": "250 2.1.5 ok\n",
    "DATA": "354 go on\n",
    ".": "250 2.0.0 taken\n",
}


def usual(verb: str, _envelope: str) -> str:
    return USUAL[verb]


class Wire:
    """One connection of a script, from the server's side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.lines: list[str] = []
        self.texts: list[bytes] = []
        self.silent = asyncio.Event()
        self._reader = reader
        self._writer = writer

    async def write(self, text: str) -> None:
        """Write all at once, LF as CRLF."""
        self._writer.write(text.replace("\n", "\r\n").encode())
        await self._writer.drain()

    async def write_bytewise(self, text: str) -> None:
        """Write a byte at a time, each in its own packet."""
        for character in text.replace("\n", "\r\n"):
            self._writer.write(character.encode())
            await self._writer.drain()
            await asyncio.sleep(0)

    async def read_line(self) -> str:
        """Raises IncompleteReadError where the client has closed the connection."""
        line = (await self._reader.readuntil(b"\r\n")).decode().rstrip()
        self.lines.append(line)
        return line

    async def read_bytes(self) -> None:
        """Wait for the client's next bytes, whatever they are."""
        await self._reader.read(1)

    async def read_text(self) -> bytes:
        """Read up to the final dot."""
        text = b""
        while (line := await self._reader.readuntil(b"\r\n")) != b".\r\n":
            text += line
        return text

    async def greet(self, *extensions: str) -> None:
        """Greet, and reply to EHLO."""
        await self.write("220 mx.test ready\n")
        await self.read_line()
        lines = ["mx.test", *extensions]
        await self.write("".join(f"250{' ' if line is lines[-1] else '-'}{line}\n" for line in lines))

    async def serve(self, answer: Answering = usual, *, letters: int = -1) -> None:
        """Reply to every command and every final dot with `answer`, until QUIT or for so many letters."""
        sender = recipient = ""
        while len(self.texts) != letters:
            line = await self.read_line()
            if line == "QUIT":
                await self.write("221 2.0.0 bye\n")
                return
            verb = line.partition(" ")[0]
            if verb == "MAIL":
                sender = line
            if verb == "RCPT":
                recipient = line
            reply = answer(verb, f"{sender} {recipient}")
            await self.write(reply)
            if verb == "DATA" and reply.startswith("354"):
                self.texts.append(await self.read_text())
                await self.write(answer(".", f"{sender} {recipient}"))

    async def accept_commands(self) -> None:
        """Accept a letter's MAIL, RCPT and DATA, one by one."""
        for verb in ("MAIL", "RCPT", "DATA"):
            await self.read_line()
            await self.write(usual(verb, ""))

    async def silence(self) -> None:
        """Write nothing until the client closes the connection."""
        self.silent.set()
        await self._reader.read()

    def drop(self) -> None:
        self._writer.transport.abort()


Script = Callable[[Wire], Awaitable[None]]


def greeting(*extensions: str) -> Script:
    """Return the script of a proper server that offers these extensions."""

    async def script(wire: Wire) -> None:
        await wire.greet(*extensions)
        await wire.serve()

    return script


def after(*extensions: str, commands: int, then: str | None) -> Script:
    """Return a script that replies to so many commands as usual, writes `then`, and is silent or, for None, drops."""

    async def script(wire: Wire) -> None:
        await wire.greet(*extensions)
        for verb in ("MAIL", "RCPT", "DATA")[:commands]:
            assert (await wire.read_line()).startswith(verb)
            await wire.write(usual(verb, ""))
        if commands < 3:
            await wire.read_line()
        else:
            await wire.read_text()
        if then is None:
            wire.drop()
        else:
            await wire.write(then)
            await wire.silence()

    return script


class ScriptedServer:
    """A server whose first connection follows the first script, and so on; the last one repeats."""

    def __init__(self, *scripts: Script, tls_context: ssl.SSLContext | None = None) -> None:
        self._tls_context = tls_context
        self.wires: list[Wire] = []
        self._scripts = scripts
        self._running: set[asyncio.Future[None]] = set()
        self._failures: list[BaseException] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls_context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: TracebackType | BaseException | None) -> None:
        self._server.close()
        for running in self._running:
            running.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._server.wait_closed()
        if self._failures and kind is None:
            raise self._failures[0]

    async def silence(self, connection: int = 0) -> None:
        """Wait until the script of a connection is silent."""
        while len(self.wires) <= connection:  # noqa: ASYNC110
            await asyncio.sleep(0)
        await self.wires[connection].silent.wait()

    async def all_ended(self) -> None:
        """Wait until every connection so far has ended, by its script or by the client."""
        await asyncio.gather(*self._running)

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self._scripts[min(len(self.wires), len(self._scripts) - 1)]
        wire = Wire(reader, writer)
        self.wires.append(wire)
        running = asyncio.ensure_future(self._follow(script, wire, writer))
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    async def _follow(self, script: Script, wire: Wire, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                await script(wire)
        except Exception as error:  # noqa: BLE001  # raised at the end of the test
            self._failures.append(error)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
