"""A raw server on loopback that keeps to a script: for all that a proper SMTP server would never do."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

Answering = Callable[[str, str], str]
"""From a verb (`.` for the final dot) and the envelope so far to what is said."""

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
    """What a script says and hears on one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard: list[str] = []
        self.texts: list[bytes] = []
        self.fell_silent = asyncio.Event()
        self._reader = reader
        self._writer = writer

    async def say(self, said: str) -> None:
        """Write all at once; lines are separated by LF here and by CRLF on the wire."""
        self._writer.write(said.replace("\n", "\r\n").encode())
        await self._writer.drain()

    async def spell(self, said: str) -> None:
        """Write a byte at a time, each a packet of its own."""
        for character in said.replace("\n", "\r\n"):
            self._writer.write(character.encode())
            await self._writer.drain()
            await asyncio.sleep(0)

    async def hear(self) -> str:
        """Read a line. Raises IncompleteReadError where the client has hung up."""
        line = (await self._reader.readuntil(b"\r\n")).decode().rstrip()
        self.heard.append(line)
        return line

    async def hear_anything(self) -> None:
        """Wait for the client's next bytes, whatever they are."""
        await self._reader.read(1)

    async def hear_text(self) -> bytes:
        """Read up to the final dot."""
        text = b""
        while (line := await self._reader.readuntil(b"\r\n")) != b".\r\n":
            text += line
        return text

    async def greet(self, *offers: str) -> None:
        """Greet, and answer EHLO."""
        await self.say("220 mx.test ready\n")
        await self.hear()
        lines = ["mx.test", *offers]
        await self.say("".join(f"250{' ' if line is lines[-1] else '-'}{line}\n" for line in lines))

    async def converse(self, answer: Answering = usual, *, letters: int = -1) -> None:
        """Answer every command and every final dot as `answer` says: until QUIT, or for so many letters."""
        sender = recipient = ""
        while len(self.texts) != letters:
            line = await self.hear()
            if line == "QUIT":
                await self.say("221 2.0.0 bye\n")
                return
            verb = line.partition(" ")[0]
            if verb == "MAIL":
                sender = line
            if verb == "RCPT":
                recipient = line
            said = answer(verb, f"{sender} {recipient}")
            await self.say(said)
            if verb == "DATA" and said.startswith("354"):
                self.texts.append(await self.hear_text())
                await self.say(answer(".", f"{sender} {recipient}"))

    async def take_commands(self) -> None:
        """Accept a letter's MAIL, RCPT and DATA, one by one."""
        for verb in ("MAIL", "RCPT", "DATA"):
            await self.hear()
            await self.say(usual(verb, ""))

    async def silence(self) -> None:
        """Say nothing until the client hangs up."""
        self.fell_silent.set()
        await self._reader.read()

    def drop(self) -> None:
        self._writer.transport.abort()


Script = Callable[[Wire], Awaitable[None]]


def greeting(*offers: str) -> Script:
    """Return the script of a proper server that offers these extensions."""

    async def script(wire: Wire) -> None:
        await wire.greet(*offers)
        await wire.converse()

    return script


def after(*offers: str, commands: int, then: str | None) -> Script:
    """Return a script that answers so many commands as usual, says `then`, and is silent or, for None, drops."""

    async def script(wire: Wire) -> None:
        await wire.greet(*offers)
        for verb in ("MAIL", "RCPT", "DATA")[:commands]:
            assert (await wire.hear()).startswith(verb)
            await wire.say(usual(verb, ""))
        if commands < 3:
            await wire.hear()
        else:
            await wire.hear_text()
        if then is None:
            wire.drop()
        else:
            await wire.say(then)
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
        """Wait until the script of a connection that has been made says nothing any more."""
        while len(self.wires) <= connection:  # noqa: ASYNC110
            await asyncio.sleep(0)
        await self.wires[connection].fell_silent.wait()

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
        except Exception as error:  # noqa: BLE001  # shown when the test leaves the server
            self._failures.append(error)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
