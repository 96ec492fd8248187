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


STRANGERS_A_MINUTE = 30


@dataclass(slots=True)
class _Tally:
    tries: int
    opens_at: float


class LoginThrottle:
    """Counts tries, and lets each after the free ones wait twice as long as the one before.

    A try is counted before its password is verified: of a hundred sent at once, few are free. It
    lives in memory, for one process; its size is bounded, and the oldest tallies go first.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tallies: dict[str, _Tally] = {}
        self._strangers = Allowance(clock, STRANGERS_A_MINUTE, 60)

    def wait(self, who: str) -> int:
        """Count a try, or return the seconds until the next is allowed.

        A try that has to wait is not counted, so polling makes the wait no longer.
        """
        return self._wait({who: 1})

    def wait_as_stranger(self, client: str, account: str) -> int:
        """Count a try from a network that never signed in to this account, or return the seconds to wait.

        All strangers together have a number of tries a minute at an account, and as many again
        for the first tries of networks: a guesser who has tried before cannot use those up, so
        the owner gets in from a new network with the right password.
        """
        networks = _networks(client)
        now = self._clock.monotonic()
        first = all(self._tally(name, now).tries < times for name, times in networks.items())
        key = f"{'first tries' if first else 'tries'} at {account}"
        wait = self._strangers.wait(key) or self._wait(networks)
        if not wait:
            self._strangers.count(key)
        return wait

    def forget(self, who: str) -> None:
        """Forget the tries before a login that worked."""
        self._tallies.pop(who, None)

    def forget_stranger(self, client: str) -> None:
        """Forget the tries of a network that turned out to be an owner's."""
        self.forget(next(iter(_networks(client))))

    def _wait(self, whom: dict[str, int]) -> int:
        """Count a try by each of these, which have so many times the free tries of one client."""
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


def _delay(tries: int, free: int) -> float:
    return 0.0 if tries < free else min(2.0 ** min(tries - free + 1, 16), LONGEST_WAIT)


def _networks(client: str) -> dict[str, int]:
    """Return the networks of a client, with how many times a client's tries each has: of IPv6 the /64, /56 and /48."""
    if not client.endswith("/64"):
        return {client: 1}
    narrow = ipaddress.ip_network(client)
    return {client: 1} | {str(narrow.supernet(new_prefix=bits)): times for bits, times in ((56, 4), (48, 16))}


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
