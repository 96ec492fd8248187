"""What the couriers put on record, a group at a time: hand-overs and endings."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import structlog

from app.clock import Clock
from app.delivery.answers import Answers
from app.delivery.group import Group
from app.delivery.membership import Membership
from app.domain.retry import Reply
from app.domain.status import Status
from app.mail.envelope import TransportError
from app.store import claims, settlements
from app.store.claims import Claimed
from app.store.database import is_unavailable
from app.store.settlements import Ending, plain

log = structlog.get_logger()
_GROUP = 500
_DATABASE_PAUSE = 1.0
"""Seconds between tries to record endings while the database is away."""


class NotOnRecord(TransportError):
    """The hand-over could not be put on record, so the message must not leave."""


class Records:
    """Shared by all deliveries in flight of this process. `settled` counts how they ended."""

    def __init__(self, membership: Membership, answers: Answers, clock: Clock) -> None:
        self._membership = membership
        self._answers = answers
        self._clock = clock
        self._hand_overs = Group(self._write_hand_overs, key=lambda claimed: claimed.id, limit=_GROUP)
        self._endings = Group(self._write_endings, key=lambda ending: ending.claimed.id, limit=_GROUP)
        self.settled: Counter[Status] = Counter()

    async def hand_over(self, claimed: Claimed) -> bool:
        """Put on record that a message is about to leave. False: the claim was lost. Raises NotOnRecord."""
        try:
            ours = await self._hand_overs.add(claimed)
        except Exception as error:
            raise NotOnRecord(type(error).__name__) from error
        if ours:
            self._answers.begin((claimed.id, claimed.token))
        return ours

    def answered(self, claimed: Claimed, reply: Reply) -> None:
        """Keep what the server said, in case that we do not live to settle it."""
        self._answers.answered((claimed.id, claimed.token), self._clock.now(), reply)

    async def settle(self, ending: Ending) -> None:
        """Record how a delivery ended, count it, and log it."""
        if await self._record(ending):
            self.settled[ending.status] += 1
            code = ending.tried.reply.code if ending.tried and ending.tried.reply else None
            log.info("settled", **_facts(ending), code=code)

    async def give_back(self, claimed: Claimed) -> None:
        """Record that a claim was never begun."""
        await self._record(settlements.given_back(claimed, self._clock.now()))

    async def complete(self, within: float) -> None:
        """Wait until the endings of those that were called back are written too, or `within` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._endings.drained()

    async def _record(self, ending: Ending) -> bool:
        try:
            ours = await self._endings.add(ending)
        except Exception:
            log.exception("an ending could not be recorded", **_facts(ending))
            if ending == plain(ending):
                return False  # its worker's end will free it
            return await self._record(plain(ending))
        if not ours:
            log.warning("the claim was lost before it was settled", **_facts(ending))
        return ours

    async def _write_hand_overs(self, group: Sequence[Claimed]) -> set[int]:
        return await claims.hand_over(group, self._clock.now())

    async def _write_endings(self, group: Sequence[Ending]) -> set[int]:
        """Write until it is written: what a mail server has accepted must come on record.

        Nobody sends these again meanwhile. Our beat stands still only while we cannot write, and
        then the others cannot either.
        """
        while True:
            try:
                settled = await settlements.settle(group, self._membership.name)
            except Exception as error:
                if not is_unavailable(error):
                    raise
                log.warning("the database is away; endings wait", endings=len(group), error=type(error).__name__)
                await asyncio.sleep(_DATABASE_PAUSE)
            else:
                self._answers.settled(ending.claimed.id for ending in group)
                return settled


def _facts(ending: Ending) -> dict[str, Any]:
    claimed = ending.claimed
    return {"delivery": claimed.id, "occasion": claimed.occasion.value, "status": ending.status.value}
