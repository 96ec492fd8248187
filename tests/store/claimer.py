"""A process that claims until nothing is due and prints the ids: `python -m tests.store.claimer URL`."""

import asyncio
import sys

from app.store.database import connected
from tests.ledger import claim_due, new_worker


async def main(url: str) -> None:
    async with connected(url):
        worker = await new_worker()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        while claimed := await claim_due(worker, limit=25):
            sys.stdout.write("".join(f"{one.id}\n" for one in claimed))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
