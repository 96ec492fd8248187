"""Ends the claims of a dead worker by what its journal says."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import structlog

from app.clock import Clock
from app.delivery.journal import JournalContents, discard, orphaned_journals, path_of, read_journal
from app.delivery.outcome import OutcomePolicy
from app.store import claims, settlements, uncertain, workers
from app.store.claims import Claimed
from app.store.quotas import Quotas
from app.store.settlements import AttemptRecord, Outcome

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Recovery:
    """Settles answered claims by the journal, gives back claims that were not started, and reclaims the rest.

    Each step is fenced by the claims' tokens, so several workers may recover the same one at once,
    and one that is killed while it does leaves no harm.
    """

    folder: Path
    """Where the journals of this machine's workers are."""
    policy: OutcomePolicy
    clock: Clock
    quotas: Quotas | None = None

    async def recover(self, worker: UUID, beat: int) -> list[int]:
        """End the claims of a worker whose heartbeat counter stopped at `beat`, and return their ids."""
        settled: set[int] = set()
        if contents := read_journal(self.folder, worker):
            handed_over = await claims.handed_over_by(worker)
            outcomes = [outcome for claimed in handed_over if (outcome := self._outcome(claimed, contents))]
            settled = await settlements.settle(outcomes, await workers.name_of(worker), self.quotas)
        reclaimed = await claims.reclaim(worker, beat, self.clock.now())
        discard(path_of(self.folder, worker))
        return [*settled, *reclaimed]

    async def recover_orphans(self, alive: Collection[UUID]) -> None:
        """Settle by the journals of workers that were recovered on other machines, without their journal."""
        for worker in orphaned_journals(self.folder, alive):
            contents = read_journal(self.folder, worker)
            for (delivery, token), recorded in contents.replies.items() if contents else ():
                if recorded.reply.accepted and await uncertain.settle_late_reply(
                    delivery, token, recorded.at, recorded.reply
                ):
                    log.warning("uncertain delivery settled as sent by the journal", delivery=delivery)
            discard(path_of(self.folder, worker))

    def _outcome(self, claimed: Claimed, contents: JournalContents) -> Outcome | None:
        claim = (claimed.id, claimed.token)
        if recorded := contents.replies.get(claim):
            attempt = AttemptRecord(claimed.claimed_at, claimed.handed_over_at, recorded.at, recorded.reply)
            if recorded.reply.accepted:
                return settlements.sent(claimed, attempt)
            return self.policy.after_reply(claimed, recorded.reply, attempt)
        if contents.complete and claim not in contents.begun:
            return settlements.given_back(claimed, self.clock.now())
        return None
