"""A mail server that is far away: every answer of the one behind it arrives later, all alike.

    python -m tests.bench.proxy PORT SECONDS

It prints its own port. A delay, not a rate: what was written together arrives together.
"""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from tests.bench.processes import ROOT

_CHUNK = 1 << 16


@contextlib.contextmanager
def delaying(port: int, seconds: float) -> Iterator[int]:
    """Run the proxy as a process of its own until the block ends; return the port to use instead."""
    command = (sys.executable, "-m", "tests.bench.proxy", str(port), str(seconds))
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield int(process.stdout.readline())
        finally:
            process.kill()


async def _serve(port: int, seconds: float) -> None:
    server = await asyncio.start_server(partial(_join, port, seconds), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


async def _join(port: int, seconds: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    answers, server = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.gather(_pass(reader, server, 0), _pass(answers, writer, seconds))


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Write what is read, each piece `seconds` after it came; reading goes on meanwhile."""
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def write() -> None:
        while piece := await pieces.get():
            due, text = piece
            await asyncio.sleep(due - loop.time())
            if not text:
                break
            writer.write(text)
        writer.close()

    writing = asyncio.create_task(write())
    with contextlib.suppress(ConnectionError):
        while text := await reader.read(_CHUNK):
            pieces.put_nowait((loop.time() + seconds, text))
    pieces.put_nowait((loop.time() + seconds, b""))
    await writing


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
