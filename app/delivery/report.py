"""How the post office stands, each morning, by mail."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, tzinfo

from app.delivery.daily import times_of_day
from app.delivery.telling import Channel, News
from app.domain.status import Outcome, Status
from app.rendering import long_day
from app.store.tallies import TRIES, WAITING, count_all, count_spans

HOUR = 9
_WEEK = timedelta(days=7)
_ENDS = (Status.SENT.value, Status.FAILED.value, *TRIES)


class Report:
    """Tells what went out yesterday and what is coming, once there has been anything at all."""

    def __init__(self, channel: Channel, zone: tzinfo, language: str) -> None:
        self._channel = channel
        self._zone = zone
        self._language = language

    async def __call__(self, now: datetime) -> AsyncIterator[int]:
        """Raises NotTold."""
        stand = Counter[str]()
        for count in await count_all():
            stand[count.kind] += count.number
        if not any(stand.values()):
            return
        today, _ = times_of_day(now, 0, self._zone)
        yesterday, _ = times_of_day(today - timedelta(seconds=1), 0, self._zone)
        day = await _sums(_ENDS, yesterday, today)
        ahead = await _sums((WAITING,), now, now + _WEEK)
        overdue = await _sums((WAITING,), now - timedelta(days=40), now)
        tries = day[Outcome.ACCEPTED] + day[Outcome.TRANSIENT] + day[Outcome.PERMANENT] + day[Outcome.UNANSWERED]
        values = {
            "day": long_day(yesterday, self._zone, self._language),
            "sent": day[Status.SENT],
            "failed": day[Status.FAILED],
            "deferred": day[Outcome.TRANSIENT],
            "unanswered": day[Outcome.UNANSWERED],
            "success": f"{100 * day[Outcome.ACCEPTED] / tries:.1f} %" if tries else "–",
            "ahead": ahead[WAITING],
            "due": overdue[WAITING],
            "held": stand[Status.HELD],
            "uncertain": stand[Status.UNCERTAIN],
        }
        await self._channel.tell(News("report", values, "", {}), now)
        yield 1


async def _sums(kinds: tuple[str, ...], since: datetime, until: datetime) -> Counter[str]:
    sums = Counter[str]()
    for count in await count_spans(kinds, [(since, until)]):
        sums[count.kind] += count.number
    return sums
