"""Making it slow to guess a password (docs/standards.md P6), and posting to be done in reason (P2)."""

import ipaddress
import math
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from app.clock import Clock

FREE_TRIES = 5
LONGEST_WAIT = 300.0  # seconds
_FORGOTTEN_AFTER = 1800.0  # seconds without a try
_MOST_KEPT = 10_000


@dataclass(slots=True)
class _Tally:
    tries: int
    opens_at: float


class LoginThrottle:
    """Counts tries, and lets each after the free ones wait twice as long as the one before.

    A try is counted before its password is looked at: of a hundred sent at once, few are free. It
    lives in memory, for one process; its size is bounded, and the oldest tallies go first.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tallies: dict[str, _Tally] = {}

    def wait(self, *whom: str) -> int:
        """Count a try by each of these, or return the seconds until the next is let in.

        A try that has to wait is not counted: whoever hammers on the door waits no longer for it.
        """
        now = self._clock.monotonic()
        tallies = {each: self._tally(each, now) for each in whom}
        wait = max(tally.opens_at for tally in tallies.values()) - now
        if wait > 0:
            return math.ceil(wait)
        for each, tally in tallies.items():
            tally.tries += 1
            tally.opens_at = now + _delay(tally.tries)
            self._tallies.pop(each, None)
            self._tallies[each] = tally
        _drop_oldest(self._tallies)
        return 0

    def forget(self, *whom: str) -> None:
        """Forgive the tries before a login that worked."""
        for each in whom:
            self._tallies.pop(each, None)

    def _tally(self, each: str, now: float) -> _Tally:
        tally = self._tallies.get(each)
        return tally if tally and now - tally.opens_at < _FORGOTTEN_AFTER else _Tally(0, now)


class Allowance:
    """So many at once, and as many again evenly over a time: the generic cell rate (ITU-T I.371).

    Measured on the monotonic clock, in memory, for one process; of more clients than are kept the
    oldest are forgotten.
    """

    def __init__(self, clock: Clock, most: int, seconds: float) -> None:
        self._clock = clock
        self._most = most
        self._step = seconds / most
        self._whole_at: dict[str, float] = {}  # when a client's allowance is whole again

    def wait(self, client: str) -> int:
        """Return the seconds until one more is allowed; nothing is counted."""
        now = self._clock.monotonic()
        return math.ceil(max(0.0, self._whole_at.get(client, now) - now - (self._most - 1) * self._step))

    def count(self, client: str) -> None:
        """Take one off."""
        now = self._clock.monotonic()
        self._whole_at[client] = max(self._whole_at.pop(client, now), now) + self._step
        _drop_oldest(self._whole_at)


def _drop_oldest(kept: dict[str, Any]) -> None:
    while len(kept) > _MOST_KEPT:
        del kept[next(iter(kept))]


def _delay(tries: int) -> float:
    return 0.0 if tries < FREE_TRIES else min(2.0 ** (tries - FREE_TRIES + 1), LONGEST_WAIT)


def client_of(request: Request) -> str:
    """Return what stands for the client; behind proxies of TRUSTED_PROXIES it is the one that they name."""
    return network(request.client.host if request.client else "")


def network(host: str) -> str:
    """Return what stands for one client: an IPv4 address, or the /64 an IPv6 one has to itself."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 6 and not address.ipv4_mapped:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
