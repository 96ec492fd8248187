"""Login throttling (docs/standards.md P6)."""

import ipaddress
import math
from dataclasses import dataclass
from typing import Any

from limits import RateLimitItemPerMinute
from limits.strategies import MovingWindowRateLimiter

from app.clock import Clock
from app.web.limits import Windows

FREE_TRIES = 5
LONGEST_WAIT = 300.0  # seconds
_FORGOTTEN_AFTER = 1800.0  # seconds without a try
_MOST_KEPT = 10_000
STRANGERS_A_MINUTE = 30
_STRANGERS = RateLimitItemPerMinute(STRANGERS_A_MINUTE)


@dataclass(slots=True)
class _Tally:
    tries: int
    opens_at: float


class LoginThrottle:
    """After the free attempts, each one has to wait twice as long as the one before.

    An attempt is counted before its password is verified: of a hundred sent at once, few are free.
    Kept in memory by each process, bounded in size: the oldest entries go first.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tallies: dict[str, _Tally] = {}
        self._strangers = MovingWindowRateLimiter(Windows(clock))

    def wait(self, who: str) -> int:
        """Count an attempt, or return the seconds until the next is allowed.

        An attempt that has to wait is not counted, so polling makes the wait no longer.
        """
        return self._wait({who: 1})

    def wait_as_stranger(self, client: str, account: str) -> int:
        """Count an attempt from a network that never signed in to this account, or return the seconds to wait.

        All such networks together have a number of attempts a minute per account, and as many again for
        first attempts: an attacker who has tried before cannot use those up, so that the owner gets in
        from a new network with the right password.
        """
        networks = _networks(client)
        now = self._clock.monotonic()
        first = all(self._tally(name, now).tries < times for name, times in networks.items())
        key = f"{'first tries' if first else 'tries'} at {account}"
        if not self._strangers.test(_STRANGERS, key):
            return max(1, math.ceil(self._strangers.get_window_stats(_STRANGERS, key).reset_time - now))
        wait = self._wait(networks)
        if not wait:
            self._strangers.hit(_STRANGERS, key)
        return wait

    def forget(self, who: str) -> None:
        """After a successful login."""
        self._tallies.pop(who, None)

    def forget_stranger(self, client: str) -> None:
        """Forget the attempts of a network from which the owner has signed in."""
        self.forget(next(iter(_networks(client))))

    def _wait(self, whom: dict[str, int]) -> int:
        """Count an attempt by each of these, with their multiples of the free attempts."""
        now = self._clock.monotonic()
        tallies = {each: self._tally(each, now) for each in whom}
        wait = max(tally.opens_at for tally in tallies.values()) - now
        if wait > 0:
            return math.ceil(wait)
        for each, tally in tallies.items():
            tally.tries += 1
            tally.opens_at = now + _delay(tally.tries, FREE_TRIES * whom[each])
            self._tallies.pop(each, None)
            self._tallies[each] = tally
        _drop_oldest(self._tallies)
        return 0

    def _tally(self, each: str, now: float) -> _Tally:
        tally = self._tallies.get(each)
        return tally if tally and now - tally.opens_at < _FORGOTTEN_AFTER else _Tally(0, now)


def _drop_oldest(kept: dict[str, Any]) -> None:
    while len(kept) > _MOST_KEPT:
        del kept[next(iter(kept))]


def _delay(tries: int, free: int) -> float:
    return 0.0 if tries < free else min(2.0 ** min(tries - free + 1, 16), LONGEST_WAIT)


def _networks(client: str) -> dict[str, int]:
    """Return a client's networks with their multiples of its attempts: of IPv6 the /64, /56 and /48."""
    if not client.endswith("/64"):
        return {client: 1}
    narrow = ipaddress.ip_network(client)
    return {client: 1} | {str(narrow.supernet(new_prefix=bits)): times for bits, times in ((56, 4), (48, 16))}
