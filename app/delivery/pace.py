"""How fast, and how many at once, to the whole world and to each domain."""

from collections import Counter

from app.clock import Clock

_MINUTE = 60.0
_QUICK = 2.0  # seconds; a domain that takes longer is slow
_REST = 5 * _MINUTE
_REMEMBERED = 10_000  # domains; beyond it the oldest are forgotten, and prove themselves again


class Meter:
    """A token bucket: `per_minute` a minute, and no more than a tenth of that at once."""

    def __init__(self, per_minute: int, now: float) -> None:
        self._gap = _MINUTE / per_minute
        self._burst = max(1.0, per_minute / 10)
        self._next = now - self._burst * self._gap

    def left(self, now: float) -> int:
        """Return how many may go now."""
        return int(min((now - self._next) / self._gap, self._burst) + 1e-9)

    def take(self, now: float) -> None:
        self._next = max(self._next, now - self._burst * self._gap) + self._gap


class Pace:
    """Who may go now. A domain that is closed is left out when letters are claimed.

    No single domain takes all seats before it has shown to be quick, so that a slow one never
    starves the rest: until then, and whenever one of its letters takes long, it has a quarter.
    """

    def __init__(self, clock: Clock, seats: int, rate: int | None, rate_per_domain: int | None) -> None:
        """Take letters a minute, over all and per domain; None for no limit."""
        self._clock = clock
        self._few = max(1, seats // 4)
        self._rate_per_domain = rate_per_domain
        self._over_all = Meter(rate, clock.monotonic()) if rate else None
        self._meters: dict[str, Meter] = {}
        self._resting: dict[str, float] = {}
        self._flying: Counter[str] = Counter()
        self._since: dict[str, float] = {}
        self._quick: dict[str, None] = {}

    def seats(self, free: int) -> int:
        """Return how many of the free seats the rate over all leaves."""
        return free if self._over_all is None else min(free, self._over_all.left(self._clock.monotonic()))

    def closed(self) -> list[str]:
        """Return the domains that may not take another seat now."""
        now = self._clock.monotonic()
        self._resting = {domain: until for domain, until in self._resting.items() if until > now}
        metered = {domain for domain, meter in self._meters.items() if meter.left(now) < 1}
        return sorted(self._resting.keys() | metered | {domain for domain in self._flying if self._crowded(domain)})

    def _crowded(self, domain: str) -> bool:
        if self._flying[domain] < self._few:
            return False
        return domain not in self._quick or self._clock.monotonic() - self._since[domain] > _QUICK

    def start(self, domain: str) -> bool:
        """Take a seat for a domain's letter; False: not now."""
        now = self._clock.monotonic()
        meter = self._meter(domain, now)
        if self._crowded(domain) or self._resting.get(domain, now) > now or (meter and meter.left(now) < 1):
            return False
        if meter:
            meter.take(now)
        if self._over_all:
            self._over_all.take(now)
        if not self._flying[domain]:
            self._since[domain] = now
        self._flying[domain] += 1
        return True

    def finish(self, domain: str) -> None:
        """Leave a seat that `start` took."""
        now = self._clock.monotonic()
        quick = now - self._since[domain] <= _QUICK
        self._since[domain] = now  # a landing is a sign of life for the others in flight
        self._flying[domain] -= 1
        if not self._flying[domain]:
            del self._flying[domain], self._since[domain]
        self._quick.pop(domain, None)
        if quick:
            self._quick[domain] = None
        if len(self._quick) > _REMEMBERED:
            del self._quick[next(iter(self._quick))]

    def rest(self, domain: str) -> None:
        """Leave a domain alone for a while: it said that it gets too much."""
        self._resting[domain] = self._clock.monotonic() + _REST

    def _meter(self, domain: str, now: float) -> Meter | None:
        if not self._rate_per_domain:
            return None
        if len(self._meters) > _REMEMBERED:  # a full bucket limits nothing: forget it
            self._meters = {known: meter for known, meter in self._meters.items() if meter.left(now) < 1}
        return self._meters.setdefault(domain, Meter(self._rate_per_domain, now))
