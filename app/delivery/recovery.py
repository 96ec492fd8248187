"""Taking over from a worker that is dead: what its own file still tells, and what nobody can know."""

from collections.abc import Collection
from pathlib import Path
from uuid import UUID

import structlog

from app.clock import Clock
from app.delivery.journal import (
    Claim,
    JournalContents,
    RecordedReply,
    discard,
    orphaned_journals,
    path_of,
    read_journal,
)
from app.delivery.outcome import OutcomePolicy
from app.store import claims, settlements, uncertain, workers
from app.store.claims import Claimed
from app.store.quotas import Quotas
from app.store.settlements import AttemptRecord, Outcome

log = structlog.get_logger()


class Recovery:
    """Settles what a dead worker was told, gives back what it never began, and reclaims the rest.

    Each step is fenced by the claims' tokens, so that several may relieve the same worker at once,
    and one that dies in the middle of it leaves no harm.
    """

    def __init__(self, folder: Path, policy: OutcomePolicy, clock: Clock, quotas: Quotas | None = None) -> None:
        """Take the folder where the workers of this machine keep their files."""
        self._folder = folder
        self._policy = policy
        self._clock = clock
        self._quotas = quotas

    async def recover(self, worker: UUID, beat: int) -> list[int]:
        """End the claims of a worker whose beat stood still at `beat`. Returns which those were."""
        settled: set[int] = set()
        if contents := read_journal(self._folder, worker):
            left = await claims.handed_over_by(worker)
            endings = [ending for claimed in left if (ending := self._ending(claimed, contents))]
            settled = await settlements.settle(endings, await workers.name_of(worker), self._quotas)
        returned = await claims.reclaim(worker, beat, self._clock.now())
        discard(path_of(self._folder, worker))
        return [*settled, *returned]

    async def recover_orphans(self, alive: Collection[UUID]) -> None:
        """Read the files of workers that others took for dead without them, and take them away."""
        for worker in orphaned_journals(self._folder, alive):
            contents = read_journal(self._folder, worker)
            for claim, answer in contents.replies.items() if contents else ():
                await self._believe(claim, answer)
            discard(path_of(self._folder, worker))

    def _ending(self, claimed: Claimed, contents: JournalContents) -> Outcome | None:
        """Return how a claim ended by what is known here, or None where nobody can know."""
        claim = (claimed.id, claimed.token)
        if answer := contents.replies.get(claim):
            tried = AttemptRecord(claimed.claimed_at, claimed.handed_over_at, answer.at, answer.reply)
            if answer.reply.accepted:
                return settlements.sent(claimed, tried)
            return self._policy.after_reply(claimed, answer.reply, tried)
        if contents.complete and claim not in contents.begun:
            return settlements.given_back(claimed, self._clock.now())
        return None

    async def _believe(self, claim: Claim, answer: RecordedReply) -> None:
        if answer.reply.accepted and await uncertain.settle_late_reply(*claim, answer.at, answer.reply):
            log.warning("not uncertain any more: the answer was written down", delivery=claim[0])
