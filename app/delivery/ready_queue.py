"""Claimed deliveries that wait for a slot: enough that no slot stays empty, few enough to be sent within seconds."""

from collections import deque
from collections.abc import Iterable, Sequence

from app.clock import Clock
from app.delivery.rate_limit import RateLimiter
from app.store.claims import Claimed

_MAX_LENGTH = 500
_MAX_WAIT = 2.0  # seconds; a longer wait means that too much was claimed


class ReadyQueue:
    """Notices first, then letters, oldest first; those whose domain is limited are deferred.

    Its length adapts: doubled when it ran empty before more were claimed, halved when it took
    long or some deliveries had to be given back.
    """

    def __init__(self, rate_limiter: RateLimiter, clock: Clock, slots: int) -> None:
        self._rate_limiter = rate_limiter
        self._clock = clock
        self._min_length = self._length = min(slots, _MAX_LENGTH)
        self._notices: deque[Claimed] = deque()
        self._letters: deque[Claimed] = deque()
        self._deferred: dict[str, deque[Claimed]] = {}  # by domain
        self._rejected: list[Claimed] = []
        self._ran_empty = self._overflowed = self._no_more = False
        self._added_at = clock.monotonic()

    def __len__(self) -> int:
        return len(self._notices) + len(self._letters) + sum(map(len, self._deferred.values()))

    def wanted(self) -> int:
        """Return how many more letters to claim: none while it is more than half full, or nothing more is due."""
        waiting = len(self._letters)
        enough = 2 * waiting > self._length or (waiting and self._no_more)
        return 0 if enough else self._rate_limiter.available_within(self._length - waiting)

    def wanted_notices(self) -> int:
        return self._rate_limiter.available_within(self._min_length - len(self._notices))

    def wait(self) -> float | None:
        return self._rate_limiter.wait()

    def closed_domains(self) -> list[str]:
        return sorted({*self._rate_limiter.closed_domains(), *self._deferred})

    def add_notices(self, claimed: Sequence[Claimed]) -> None:
        self._notices.extend(claimed)

    def add(self, claimed: Sequence[Claimed], requested: int) -> None:
        """Add letters; fewer than `requested` means that no more are due."""
        self._no_more = len(claimed) < requested
        if claimed:
            self._adapt()
            self._letters.extend(claimed)

    def pop(self) -> Claimed | None:
        if not self._rate_limiter.is_open():
            return None
        for domain, waiting in self._deferred.items():
            if self._rate_limiter.admits(domain):
                claimed = waiting.popleft()
                if not waiting:
                    del self._deferred[domain]
                return claimed
        for queue in (self._notices, self._letters):
            while queue:
                claimed = queue.popleft()
                if self._rate_limiter.admits(claimed.domain_hmac):
                    return claimed
                self._defer(claimed)
        self._ran_empty = True
        return None

    def upcoming(self) -> Iterable[Claimed]:
        return self._letters

    def take_rejected(self) -> list[Claimed]:
        """Return the deliveries that did not fit, for the caller to give back."""
        rejected, self._rejected = self._rejected, []
        return rejected

    def clear(self) -> list[Claimed]:
        """Empty the queue, and return its deliveries for the caller to give back."""
        claims = [*self._notices, *self._letters, *(one for queue in self._deferred.values() for one in queue)]
        self._notices.clear()
        self._letters.clear()
        self._deferred.clear()
        return [*claims, *self.take_rejected()]

    def _defer(self, claimed: Claimed) -> None:
        waiting = self._deferred.get(claimed.domain_hmac, ())
        if len(waiting) < self._rate_limiter.queue_limit(claimed.domain_hmac):
            self._deferred.setdefault(claimed.domain_hmac, deque()).append(claimed)
        else:
            self._rejected.append(claimed)
            self._overflowed = True

    def _adapt(self) -> None:
        now = self._clock.monotonic()
        if self._overflowed or (not self._ran_empty and now - self._added_at > _MAX_WAIT):
            self._length = max(self._length // 2, self._min_length)
        elif self._ran_empty:
            self._length = min(self._length * 2, _MAX_LENGTH)
        self._overflowed = self._ran_empty = False
        self._added_at = now
