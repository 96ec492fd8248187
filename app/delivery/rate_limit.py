"""Limits of rate and of deliveries in flight, over all and for each domain."""

from math import inf

from app.clock import Clock

_MINUTE = 60.0
_FAST = 2.0  # seconds; a domain whose letters take longer is slow
_PAUSE = 5 * _MINUTE
_AHEAD = 5.0  # seconds; letters that may be sent within them may be claimed
_MAX_DEFERRED = 500  # letters that may wait for a fast domain's slots: they are sent within seconds
_REMEMBERED = 10_000  # domains; beyond it the oldest are forgotten, and count as slow again


class TokenBucket:
    """`per_minute` tokens a minute, and at most a second's worth of them at once."""

    def __init__(self, per_minute: int, now: float) -> None:
        self._gap = _MINUTE / per_minute
        self._slack = max(self._gap, 1.0)
        self._next = now - self._slack

    def left(self, now: float) -> int:
        return int(min(now - self._next, self._slack) / self._gap + 1e-9)

    def available_within(self, now: float) -> int:
        """Return how many tokens there will be within the next 5 seconds."""
        return max(0, int((min(now - self._next, self._slack) + _AHEAD) / self._gap + 1e-9))

    def is_full(self, now: float) -> bool:
        return now - self._next >= self._slack

    def opens_in(self, now: float) -> float:
        return max(0.0, self._next + self._gap - now)

    def take(self, now: float) -> None:
        self._next = max(self._next, now - self._slack) + self._gap


class RateLimiter:
    """Decides which domain may be sent to now. A closed domain is excluded when letters are claimed.

    A slow domain cannot starve the others: it has at most a quarter of the connections in flight, unless
    its last letter took at most two seconds and none in flight takes longer. A fast domain has at most
    `max_per_domain`: should its letters get stuck, the others are sent over the remaining connections.
    """

    def __init__(
        self,
        clock: Clock,
        connections: int,
        rate: int | None,
        rate_per_domain: int | None,
        max_per_domain: int | None = None,
    ) -> None:
        """Rates are letters a minute, None: no limit. `max_per_domain`: by default four fifths of the connections."""
        self._clock = clock
        self._max_slow = max(1, connections // 4)
        self._max_per_domain = max_per_domain or max(1, connections - max(1, connections // 5))
        self._rate_per_domain = rate_per_domain
        self._over_all = TokenBucket(rate, clock.monotonic()) if rate else None
        self._buckets: dict[str, TokenBucket] = {}
        self._paused_until: dict[str, float] = {}
        self._in_flight: dict[str, list[float]] = {}  # their start times, oldest first
        self._fast: dict[str, None] = {}

    def available_within(self, number: int) -> int:
        """Return how many of `number` letters the rate over all permits within the next 5 seconds."""
        return (
            number if self._over_all is None else min(number, self._over_all.available_within(self._clock.monotonic()))
        )

    def is_open(self) -> bool:
        return self._over_all is None or self._over_all.left(self._clock.monotonic()) > 0

    def admits(self, domain: str) -> bool:
        now = self._clock.monotonic()
        bucket = self._bucket(domain, now)
        return not (
            self._has_most(domain)
            or self._is_slow(domain, now)
            or self._paused_until.get(domain, now) > now
            or (bucket and bucket.left(now) < 1)
        )

    def queue_limit(self, domain: str) -> int:
        """Return how many letters to a domain may be queued while it is not admitted: those sent within seconds."""
        now = self._clock.monotonic()
        if self._paused_until.get(domain, now) > now:
            return 0
        if bucket := self._bucket(domain, now):
            return bucket.available_within(now)
        return self._max_slow if self._is_slow(domain, now) else _MAX_DEFERRED

    def closed_domains(self) -> list[str]:
        now = self._clock.monotonic()
        self._paused_until = {domain: until for domain, until in self._paused_until.items() if until > now}
        limited = {domain for domain, bucket in self._buckets.items() if bucket.left(now) < 1}
        slow = {domain for domain in self._in_flight if self._is_slow(domain, now)}
        return sorted(self._paused_until.keys() | limited | slow)

    def wait(self) -> float | None:
        """Return the seconds until more may be sent than now.

        inf: until a delivery in flight has ended; None: nothing is limited, or only by a pause.
        """
        now = self._clock.monotonic()
        buckets = [*self._buckets.values(), *([self._over_all] if self._over_all else [])]
        empty = [bucket.opens_in(now) for bucket in buckets if bucket.left(now) < 1]
        if empty:
            return min(empty)
        return inf if any(self._is_slow(domain, now) for domain in self._in_flight) else None

    def start(self, domain: str) -> float | None:
        """Count a letter as in flight, and return what `finish` takes; None: it may not be sent now."""
        if not self.admits(domain):
            return None
        now = self._clock.monotonic()
        if bucket := self._bucket(domain, now):
            bucket.take(now)
        if self._over_all:
            self._over_all.take(now)
        self._in_flight.setdefault(domain, []).append(now)
        return now

    def finish(self, domain: str, since: float) -> None:
        in_flight = self._in_flight[domain]
        in_flight.remove(since)
        if not in_flight:
            del self._in_flight[domain]
        self._fast.pop(domain, None)
        if self._clock.monotonic() - since <= _FAST:
            self._fast[domain] = None
        if len(self._fast) > _REMEMBERED:
            del self._fast[next(iter(self._fast))]

    def pause(self, domain: str) -> None:
        """Send nothing to a domain for five minutes: its server said that it gets too much."""
        self._paused_until[domain] = self._clock.monotonic() + _PAUSE

    def _is_slow(self, domain: str, now: float) -> bool:
        """Whether a domain has its quarter in flight, and may not have more."""
        in_flight = self._in_flight.get(domain, [])
        return len(in_flight) >= self._max_slow and (domain not in self._fast or now - in_flight[0] > _FAST)

    def _has_most(self, domain: str) -> bool:
        return len(self._in_flight.get(domain, ())) >= self._max_per_domain

    def _bucket(self, domain: str, now: float) -> TokenBucket | None:
        if not self._rate_per_domain:
            return None
        if len(self._buckets) > _REMEMBERED:  # a full one is the same as a new one
            self._buckets = {known: bucket for known, bucket in self._buckets.items() if not bucket.is_full(now)}
        return self._buckets.setdefault(domain, TokenBucket(self._rate_per_domain, now))
