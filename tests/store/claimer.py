"""`python -m tests.store.claimer URL` claims and settles until nothing is due, and prints the ids."""

import asyncio
import sys

from app.domain.retry import Reply
from app.store.claims import hand_over
from app.store.database import connected
from app.store.settlements import AttemptRecord, sent, settle
from tests.clock import NEW_YEAR as NOW
from tests.ledger import claim_due, new_worker

_ACCEPTED = AttemptRecord(NOW, NOW, NOW, Reply(250, "2.0.0", "taken", "body"))


async def main(url: str) -> None:
    async with connected(url):
        worker = await new_worker()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        while claimed := await claim_due(worker, limit=25):
            kept = await hand_over(claimed, NOW)
            kept &= await settle([sent(one, _ACCEPTED) for one in claimed], "claimer")
            sys.stdout.write("".join(f"{one}\n" for one in kept))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
