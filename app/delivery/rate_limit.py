"""How fast, and how many at once, to the whole world and to each domain."""

from math import inf

from app.clock import Clock

_MINUTE = 60.0
_QUICK = 2.0  # seconds; a domain whose letters take longer is slow
_PAUSE = 5 * _MINUTE
_SOON = 5.0  # seconds; what may leave within them may be claimed ahead
_ASIDE = 500  # letters that may wait for a quick domain's connections: they leave within seconds
_REMEMBERED = 10_000  # domains; beyond it the oldest are forgotten, and prove themselves again


class TokenBucket:
    """A token bucket: `per_minute` a minute, and no more than a second's worth of it at once."""

    def __init__(self, per_minute: int, now: float) -> None:
        self._gap = _MINUTE / per_minute
        self._slack = max(self._gap, 1.0)
        self._next = now - self._slack

    def left(self, now: float) -> int:
        """Return how many may go now."""
        return int(min(now - self._next, self._slack) / self._gap + 1e-9)

    def available_within(self, now: float) -> int:
        """Return how many may go within the next seconds."""
        return max(0, int((min(now - self._next, self._slack) + _SOON) / self._gap + 1e-9))

    def is_full(self, now: float) -> bool:
        """Whether it has limited nobody of late."""
        return now - self._next >= self._slack

    def opens_in(self, now: float) -> float:
        """Return the seconds until the next may go."""
        return max(0.0, self._next + self._gap - now)

    def take(self, now: float) -> None:
        self._next = max(self._next, now - self._slack) + self._gap


class RateLimiter:
    """Who may go now. A domain that is closed is left out when letters are claimed.

    No single domain takes all seats before it has shown to be quick, so that a slow one never
    starves the rest: until then, and whenever one of its letters takes long, it has a quarter. Not
    even a quick one takes all: should it fall silent, others go on over the connections that are left.
    """

    def __init__(
        self, clock: Clock, seats: int, rate: int | None, rate_per_domain: int | None, most: int | None = None
    ) -> None:
        """Take letters a minute, over all and per domain, None for no limit; and the most of a domain in flight."""
        self._clock = clock
        self._few = max(1, seats // 4)
        self._most = most or max(1, seats - max(1, seats // 5))
        self._rate_per_domain = rate_per_domain
        self._over_all = TokenBucket(rate, clock.monotonic()) if rate else None
        self._meters: dict[str, TokenBucket] = {}
        self._resting: dict[str, float] = {}
        self._flying: dict[str, list[float]] = {}  # when those in flight began, the oldest first
        self._quick: dict[str, None] = {}

    def available_within(self, number: int) -> int:
        """Return how many of so many letters the rate over all lets go within the next seconds."""
        return (
            number if self._over_all is None else min(number, self._over_all.available_within(self._clock.monotonic()))
        )

    def is_open(self) -> bool:
        """Whether the rate over all lets a letter go now."""
        return self._over_all is None or self._over_all.left(self._clock.monotonic()) > 0

    def admits(self, domain: str) -> bool:
        """Whether a letter to this domain may go now."""
        now = self._clock.monotonic()
        meter = self._meter(domain, now)
        return not (
            self._has_most(domain)
            or self._crowded(domain, now)
            or self._resting.get(domain, now) > now
            or (meter and meter.left(now) < 1)
        )

    def queue_limit(self, domain: str) -> int:
        """Return how many letters to a domain that does not admit them may wait: what goes within seconds."""
        now = self._clock.monotonic()
        if self._resting.get(domain, now) > now:
            return 0
        if meter := self._meter(domain, now):
            return meter.available_within(now)
        return self._few if self._crowded(domain, now) else _ASIDE

    def closed_domains(self) -> list[str]:
        """Return the domains that may not take another seat now."""
        now = self._clock.monotonic()
        self._resting = {domain: until for domain, until in self._resting.items() if until > now}
        metered = {domain for domain, meter in self._meters.items() if meter.left(now) < 1}
        crowded = {domain for domain in self._flying if self._crowded(domain, now)}
        return sorted(self._resting.keys() | metered | crowded)

    def wait(self) -> float | None:
        """Return after how many seconds more may leave than now.

        inf: once one of those in flight has landed; None: nobody has to wait, or only for a
        domain that rests.
        """
        now = self._clock.monotonic()
        meters = [*self._meters.values(), *([self._over_all] if self._over_all else [])]
        spent = [meter.opens_in(now) for meter in meters if meter.left(now) < 1]
        if spent:
            return min(spent)
        return inf if any(self._crowded(domain, now) for domain in self._flying) else None

    def start(self, domain: str) -> float | None:
        """Take a seat for a domain's letter, and return what `finish` asks for; None: not now."""
        if not self.admits(domain):
            return None
        now = self._clock.monotonic()
        if meter := self._meter(domain, now):
            meter.take(now)
        if self._over_all:
            self._over_all.take(now)
        self._flying.setdefault(domain, []).append(now)
        return now

    def finish(self, domain: str, since: float) -> None:
        """Leave the seat that was taken at `since`."""
        flying = self._flying[domain]
        flying.remove(since)
        if not flying:
            del self._flying[domain]
        self._quick.pop(domain, None)
        if self._clock.monotonic() - since <= _QUICK:
            self._quick[domain] = None
        if len(self._quick) > _REMEMBERED:
            del self._quick[next(iter(self._quick))]

    def pause(self, domain: str) -> None:
        """Leave a domain alone for a while: it said that it gets too much."""
        self._resting[domain] = self._clock.monotonic() + _PAUSE

    def _crowded(self, domain: str, now: float) -> bool:
        flying = self._flying.get(domain, [])
        return len(flying) >= self._few and (domain not in self._quick or now - flying[0] > _QUICK)

    def _has_most(self, domain: str) -> bool:
        """Whether a domain holds all connections but those that stay free for others."""
        return len(self._flying.get(domain, ())) >= self._most

    def _meter(self, domain: str, now: float) -> TokenBucket | None:
        if not self._rate_per_domain:
            return None
        if len(self._meters) > _REMEMBERED:  # a full one is as good as a new one: forget it
            self._meters = {known: meter for known, meter in self._meters.items() if not meter.is_full(now)}
        return self._meters.setdefault(domain, TokenBucket(self._rate_per_domain, now))
