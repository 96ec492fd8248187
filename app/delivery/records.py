"""What the couriers put on record, a group at a time: hand-overs and endings."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import structlog

from app.clock import Clock
from app.delivery.answers import Answers
from app.delivery.group import Group
from app.delivery.membership import Membership
from app.domain.retry import Reply
from app.domain.status import Status
from app.log import listed
from app.store import claims, settlements
from app.store.claims import Claimed
from app.store.database import is_unavailable
from app.store.quotas import Quotas
from app.store.settlements import Ending, plain

log = structlog.get_logger()
_GROUP = 500
_ENDINGS_PAUSE = 0.05  # seconds; nobody waits for these, and what the server said is kept by `answers`
_DATABASE_PAUSE = 1.0
"""Seconds between tries to record endings while the database is away."""


class Records:
    """Shared by all deliveries in flight of this process. `settled` counts how they ended."""

    def __init__(self, membership: Membership, answers: Answers, clock: Clock, quotas: Quotas | None = None) -> None:
        self._membership = membership
        self._quotas = quotas
        self._answers = answers
        self._clock = clock
        self._hand_overs = Group(self._write_hand_overs, key=lambda claimed: claimed.id, limit=_GROUP)
        self._endings = Group(self._write_endings, lambda ending: ending.claimed.id, limit=_GROUP, pause=_ENDINGS_PAUSE)
        self.settled: Counter[Status] = Counter()

    def hand_over(self, claimed: Claimed) -> "asyncio.Future[bool]":
        """Put on record that a message is about to leave. False: the claim was lost. Raises NotOnRecord."""
        return self._hand_overs.add(claimed)

    def begun(self, claimed: Claimed) -> None:
        """Keep that a message's final dot is about to be written."""
        self._answers.begin((claimed.id, claimed.token))

    def answered(self, claimed: Claimed, reply: Reply) -> None:
        """Keep what the server said, in case that we do not live to settle it."""
        self._answers.answered((claimed.id, claimed.token), self._clock.now(), reply)

    def settle(self, ending: Ending) -> None:
        """Have it recorded how a delivery ended, and counted and logged once it is; nobody waits for that."""
        self._endings.put(ending)

    def give_back(self, claimed: Claimed) -> None:
        """Have it recorded that a claim was never begun."""
        self._endings.put(settlements.never_begun(claimed, self._clock.now()))

    @property
    def complete(self) -> bool:
        """Whether every ending is on record."""
        return self._endings.is_dry

    async def completed(self, within: float | None = None) -> None:
        """Wait until every ending is on record, those of who was called back too, or `within` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._endings.drained()

    async def _write_hand_overs(self, group: Sequence[Claimed]) -> set[int]:
        return await claims.hand_over(group, self._clock.now())

    async def _write_endings(self, group: Sequence[Ending]) -> set[int]:
        """Write until it is written: what a mail server has accepted must come on record.

        Nobody sends these again meanwhile. Our beat stands still only while we cannot write, and
        then the others cannot either. Raises what is wrong with one of several.
        """
        while True:
            try:
                settled = await settlements.settle(group, self._membership.name, self._quotas)
            except Exception as error:
                if is_unavailable(error):
                    waiting = [ending.claimed.id for ending in group]
                    log.warning("the database is away; endings wait", error=type(error).__name__, **listed(waiting))
                    await asyncio.sleep(_DATABASE_PAUSE)
                elif len(group) > 1:
                    raise
                else:
                    return await self._write_plain(group[0], error)
            else:
                self._answers.settled(ending.claimed.id for ending in group)
                self._tell(group, settled)
                return settled

    async def _write_plain(self, ending: Ending, error: Exception) -> set[int]:
        """Write an ending that does not fit without what may not; else its worker's end will free it."""
        log.error("an ending could not be recorded", exc_info=error, **_facts(ending))
        bare = plain(ending)
        return set() if ending == bare else await self._write_endings([bare])

    def _tell(self, group: Sequence[Ending], settled: Collection[int]) -> None:
        """Count and log how they ended: those that were simply sent together, each other by itself."""
        sent = []
        for ending in group:
            if ending.claimed.id not in settled:
                log.warning("the claim was lost before it was settled", **_facts(ending))
            elif ending.begun:
                self.settled[ending.status] += 1
                if ending.status is Status.SENT:
                    sent.append(ending.claimed.id)
                else:
                    log.info("settled", **_facts(ending))
        if sent:
            log.info("settled", status=Status.SENT.value, deliveries=sent)


def _facts(ending: Ending) -> dict[str, Any]:
    claimed, reply = ending.claimed, ending.tried.reply if ending.tried else None
    return {
        "delivery": claimed.id,
        "occasion": claimed.occasion.value,
        "status": ending.status.value,
        "code": reply.code if reply else None,
    }
