"""What a scan would find, in one question: in most minutes that is nothing."""

from dataclasses import dataclass
from datetime import datetime

from app.store.confirming import LIFE
from app.store.database import as_parameter, connection
from app.store.deliveries import RESEND_LIMIT
from app.store.statements import numbered

# Each reads the first row of a partial index. An EXISTS would forget ORDER BY and LIMIT, and PostgreSQL
# would rather read the table, of which it takes a third to be due.
_FIRST = "(SELECT 1 FROM deliveries WHERE {where} <= @{latest} ORDER BY {order} LIMIT 1) IS NOT NULL"
_UNCERTAIN = _FIRST.format(
    where=f"status = 'uncertain' AND unanswered <= {RESEND_LIMIT} AND due_at", latest=1, order="due_at"
)
_UNCONFIRMED = _FIRST.format(where="held_reason = 'unconfirmed' AND status_at", latest=2, order="status_at")
_NOTICES, _LETTERS = (
    _FIRST.format(where=f"status = 'scheduled' AND {kind} AND due_at", latest=1, order="due_at")
    for kind in ("notice", "NOT notice")
)
_LOOK = f"SELECT {_UNCERTAIN} AS uncertain, {_UNCONFIRMED} AS unconfirmed, {_NOTICES} OR {_LETTERS} AS scheduled"


@dataclass(frozen=True, slots=True)
class Due:
    """Whether something may have to be sent again, or called off, and whether anything is to be sent."""

    uncertain: bool
    unconfirmed: bool
    scheduled: bool


async def look(now: datetime) -> Due:
    """Return what there is for a scan at this moment; what is paused or closed to us counts, too."""
    _, (found,) = await connection().execute_query(numbered(_LOOK), [as_parameter(now), as_parameter(now - LIFE)])
    return Due(bool(found["uncertain"]), bool(found["unconfirmed"]), bool(found["scheduled"]))
