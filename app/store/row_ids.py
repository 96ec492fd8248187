"""The ids of letters: UUIDs of version 7 (RFC 9562 §5.7), so that their index is in the order of writing."""

import os
from datetime import datetime
from uuid import UUID


def new_row_id(now: datetime) -> UUID:
    """Return an id of its own: rows written together lie together in the index."""
    value = _milliseconds(now) << 80 | int.from_bytes(os.urandom(10))
    return UUID(int=value & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62)


def lowest_row_id(moment: datetime) -> UUID:
    """Return what no id made at `moment` or later is below."""
    return UUID(int=_milliseconds(moment) << 80)


def _milliseconds(moment: datetime) -> int:
    """Return those since 1970; a clock that was never set may say less than the day that a quota looks back."""
    return max(0, int(moment.timestamp() * 1000))
