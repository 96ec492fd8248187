"""What a scan would find, in one question: in most minutes that is nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.store.confirming import LIFE
from app.store.database import as_moment, as_parameter, connection
from app.store.deliveries import RESEND_LIMIT
from app.store.statements import numbered

# Each reads the first row of a partial index. An EXISTS would forget ORDER BY and LIMIT, and PostgreSQL
# would rather read the table, of which it takes a third to be due.
_FIRST = "(SELECT 1 FROM deliveries WHERE {where} <= @{latest} ORDER BY {order} LIMIT 1) IS NOT NULL"
_UNCERTAIN = _FIRST.format(
    where=f"status = 'uncertain' AND unanswered <= {RESEND_LIMIT} AND due_at", latest=1, order="due_at"
)
_UNCONFIRMED = _FIRST.format(where="held_reason = 'unconfirmed' AND status_at", latest=2, order="status_at")
_OLDEST = ", ".join(
    f"(SELECT due_at FROM deliveries WHERE status = 'scheduled' AND {kind} AND due_at <= @1"  # noqa: S608 - constants
    f" ORDER BY due_at LIMIT 1) AS {name}"
    for name, kind in (("notice", "notice"), ("letter", "NOT notice"))
)
_LOOK = f"SELECT {_UNCERTAIN} AS uncertain, {_UNCONFIRMED} AS unconfirmed, {_OLDEST}"


@dataclass(frozen=True, slots=True)
class Due:
    """Whether something may have to be sent again, or called off, and whether anything is to be sent."""

    uncertain: bool
    unconfirmed: bool
    scheduled: bool


async def look(now: datetime) -> Due:
    """Return what there is for a scan at this moment; what is paused or closed to us counts, too."""
    _, (found,) = await connection().execute_query(numbered(_LOOK), [as_parameter(now), as_parameter(now - LIFE)])
    return Due(bool(found["uncertain"]), bool(found["unconfirmed"]), _earliest(found) is not None)


async def oldest_due(now: datetime) -> datetime | None:
    """Return since when the oldest due delivery has been due; None where none is."""
    (found,) = await connection().execute_query_dict(numbered(f"SELECT {_OLDEST}"), [as_parameter(now)])
    return _earliest(found)


def _earliest(found: Mapping[str, Any]) -> datetime | None:
    return min((as_moment(found[kind]) for kind in ("notice", "letter") if found[kind]), default=None)
