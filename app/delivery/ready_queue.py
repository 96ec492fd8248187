"""What is claimed and waits for a seat: enough that no seat stays empty, never more than leaves within seconds."""

from collections import deque
from collections.abc import Iterable, Sequence

from app.clock import Clock
from app.delivery.rate_limit import RateLimiter
from app.store.claims import Claimed

_LONGEST = 500
_LONGEST_WAIT = 2.0  # seconds; who waits longer was claimed too early


class ReadyQueue:
    """Notices first, then letters, the oldest first; those whose domain must wait stand aside.

    How far it reaches follows from how fast it moves: twice as far whenever it ran dry before
    more were claimed, half as far when it took long or some had to be sent away again.
    """

    def __init__(self, rate_limiter: RateLimiter, clock: Clock, seats: int) -> None:
        self._rate_limiter = rate_limiter
        self._clock = clock
        self._shortest = self._reach = min(seats, _LONGEST)
        self._notices: deque[Claimed] = deque()
        self._letters: deque[Claimed] = deque()
        self._aside: dict[str, deque[Claimed]] = {}
        self._surplus: list[Claimed] = []
        self._ran_dry = self._crowded_out = self._no_more = False
        self._joined_at = clock.monotonic()

    def __len__(self) -> int:
        return len(self._notices) + len(self._letters) + sum(map(len, self._aside.values()))

    def wanted(self) -> int:
        """Return how many more letters to claim: none as long as the line is long enough, or the last of all."""
        waiting = len(self._letters)
        enough = 2 * waiting > self._reach or (waiting and self._no_more)
        return 0 if enough else self._rate_limiter.available_within(self._reach - waiting)

    def wanted_notices(self) -> int:
        """Return how many more notices to claim; nobody waits long behind them."""
        return self._rate_limiter.available_within(self._shortest - len(self._notices))

    def wait(self) -> float | None:
        """Return after how many seconds more may leave than now; see Pace.wait."""
        return self._rate_limiter.wait()

    def closed_domains(self) -> list[str]:
        """Return the domains of which nothing more is to be claimed now."""
        return sorted({*self._rate_limiter.closed_domains(), *self._aside})

    def add_notices(self, claimed: Sequence[Claimed]) -> None:
        """Let notices line up, before all letters."""
        self._notices.extend(claimed)

    def add(self, claimed: Sequence[Claimed], asked: int) -> None:
        """Let letters line up, of so many that were asked for."""
        self._no_more = len(claimed) < asked
        if claimed:
            self._adapt()
            self._letters.extend(claimed)

    def pop(self) -> Claimed | None:
        """Return who may leave now."""
        if not self._rate_limiter.is_open():
            return None
        for domain, waiting in self._aside.items():
            if self._rate_limiter.admits(domain):
                claimed = waiting.popleft()
                if not waiting:
                    del self._aside[domain]
                return claimed
        for line in (self._notices, self._letters):
            while line:
                claimed = line.popleft()
                if self._rate_limiter.admits(claimed.domain_hmac):
                    return claimed
                self._set_aside(claimed)
        self._ran_dry = True
        return None

    def upcoming(self) -> Iterable[Claimed]:
        """Return the letters that are next, should nobody be set aside."""
        return self._letters

    def take_rejected(self) -> list[Claimed]:
        """Return those for whom there is no room: they are to be given back."""
        surplus, self._surplus = self._surplus, []
        return surplus

    def clear(self) -> list[Claimed]:
        """Return all who wait: they are to be given back."""
        everybody = [*self._notices, *self._letters, *(one for line in self._aside.values() for one in line)]
        self._notices.clear()
        self._letters.clear()
        self._aside.clear()
        return [*everybody, *self.take_rejected()]

    def _set_aside(self, claimed: Claimed) -> None:
        waiting = self._aside.get(claimed.domain_hmac, ())
        if len(waiting) < self._rate_limiter.queue_limit(claimed.domain_hmac):
            self._aside.setdefault(claimed.domain_hmac, deque()).append(claimed)
        else:
            self._surplus.append(claimed)
            self._crowded_out = True

    def _adapt(self) -> None:
        now = self._clock.monotonic()
        if self._crowded_out or (not self._ran_dry and now - self._joined_at > _LONGEST_WAIT):
            self._reach = max(self._reach // 2, self._shortest)
        elif self._ran_dry:
            self._reach = min(self._reach * 2, _LONGEST)
        self._crowded_out = self._ran_dry = False
        self._joined_at = now
