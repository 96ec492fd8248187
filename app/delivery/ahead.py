"""Messages made a little before their turn, many in a row."""

import contextlib
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from itertools import islice
from uuid import UUID

from app.delivery.packing import Packer
from app.mail.envelope import Envelope
from app.store.claims import Claimed

_ROW = 16  # letters: a row of them keeps everything else waiting for about two milliseconds
_FRESH = timedelta(seconds=5)  # a message tells when it was made: one that has waited longer is made anew


class Ahead:
    """Packs a letter, and with it those that are next.

    Made one at a time, between the answers to others, each finds the processor's caches full of
    something else; a row of them costs a quarter less.
    """

    def __init__(self, packer: Packer, upcoming: Callable[[], Iterable[Claimed]]) -> None:
        """Take what tells who is next in line."""
        self._packer = packer
        self._upcoming = upcoming
        self._made: dict[tuple[int, UUID], tuple[datetime, Envelope]] = {}

    def pack(self, claimed: Claimed, now: datetime) -> Envelope:
        """See Packer.pack. The message may be some seconds old, but never older than the claim."""
        at, envelope = self._made.pop(_key(claimed), None) or (now, None)
        if envelope is None or now - at > _FRESH:
            envelope = self._packer.pack(claimed, now)
            self._made = dict(self._row(now))
        return envelope

    def _row(self, now: datetime) -> Iterable[tuple[tuple[int, UUID], tuple[datetime, Envelope]]]:
        for claimed in islice(self._upcoming(), _ROW):
            key = _key(claimed)
            if key in self._made:
                yield key, self._made[key]
            elif not claimed.barred:
                with contextlib.suppress(Exception):  # told when it is its turn
                    yield key, (now, self._packer.pack(claimed, now))


def _key(claimed: Claimed) -> tuple[int, UUID]:
    """Return what no other claim has: between two of them a letter may have been changed."""
    return claimed.id, claimed.token
