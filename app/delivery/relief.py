"""Taking over from a worker that is dead: what its own file still tells, and what nobody can know."""

from collections.abc import Collection
from pathlib import Path
from uuid import UUID

import structlog

from app.clock import Clock
from app.delivery.answers_file import Answer, Claim, Remains, discard, path_of
from app.delivery.remains import left_behind, read
from app.delivery.verdict import Judge
from app.store import claims, deliveries, leases, settlements
from app.store.claims import Claimed
from app.store.quotas import Quotas
from app.store.settlements import Ending, Try

log = structlog.get_logger()


class Relief:
    """Settles what a dead worker was told, gives back what it never began, and reclaims the rest.

    Each step is fenced by the claims' tokens, so that several may relieve the same worker at once,
    and one that dies in the middle of it leaves no harm.
    """

    def __init__(self, folder: Path, judge: Judge, clock: Clock, quotas: Quotas | None = None) -> None:
        """Take the folder where the workers of this machine keep their files."""
        self._folder = folder
        self._judge = judge
        self._clock = clock
        self._quotas = quotas

    async def relieve(self, worker: UUID, beat: int) -> list[int]:
        """End the claims of a worker whose beat stood still at `beat`. Returns which those were."""
        settled: set[int] = set()
        if remains := read(self._folder, worker):
            left = await claims.handed_over_by(worker)
            endings = [ending for claimed in left if (ending := self._ending(claimed, remains))]
            settled = await settlements.settle(endings, await leases.name_of(worker), self._quotas)
        returned = await claims.reclaim(worker, beat, self._clock.now())
        discard(path_of(self._folder, worker))
        return [*settled, *returned]

    async def tidy(self, alive: Collection[UUID]) -> None:
        """Read the files of workers that others took for dead without them, and take them away."""
        for worker in left_behind(self._folder, alive):
            remains = read(self._folder, worker)
            for claim, answer in remains.answers.items() if remains else ():
                await self._believe(claim, answer)
            discard(path_of(self._folder, worker))

    def _ending(self, claimed: Claimed, remains: Remains) -> Ending | None:
        """Return how a claim ended by what is known here, or None where nobody can know."""
        claim = (claimed.id, claimed.token)
        if answer := remains.answers.get(claim):
            tried = Try(claimed.claimed_at, claimed.handed_over_at, answer.at, answer.reply)
            if answer.reply.accepted:
                return settlements.sent(claimed, tried)
            return self._judge.replied(claimed, answer.reply, tried)
        if remains.whole and claim not in remains.begun:
            return settlements.given_back(claimed, self._clock.now())
        return None

    async def _believe(self, claim: Claim, answer: Answer) -> None:
        if answer.reply.accepted and await deliveries.accepted_after_all(*claim, answer.at, answer.reply):
            log.warning("not uncertain any more: the answer was written down", delivery=claim[0])
