"""Triggers: counters of deliveries and attempts, and tables that only grow.

A count is the sum of its rows in `counters`. On PostgreSQL every statement adds rows of its own, so that
no two processes wait for each other, and a job compacts them later; SQLite lets one transaction write at
a time, and counts in place.
"""

from collections.abc import Sequence

_ADD = "INSERT INTO counters (kind, notice, detail, quarter, number, milliseconds)"
_ADD_ANOTHER = _ADD.replace(")", ", part)")
_WAITS = "{row}.status IN ('scheduled', 'claimed')"
# A claimed delivery still waits, so that claiming and giving back count nothing. The quarter is
# that of an hour, in UTC, since 1970: the days of every time zone begin with one.
_DELIVERY = """
    CASE WHEN {waits} THEN 'waiting' ELSE {row}.status END AS kind, {row}.notice AS notice,
    CASE {row}.status WHEN 'held' THEN {row}.held_reason WHEN 'sent' THEN {step} ELSE '' END AS detail,
    {quarter} AS quarter, CASE {row}.status WHEN 'sent' THEN {milliseconds} ELSE 0 END AS milliseconds
"""
_ATTEMPT = """
    {row}.outcome AS kind, {false} AS notice, {step} AS detail, {quarter} AS quarter, {milliseconds} AS milliseconds
"""
# Seconds: from the promise to the sending, and from an attempt's start to its end.
_LATENESS = (60, 300, 900, 3600, 21600, 86400)
_DURATION = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 600)
_SQLITE = {
    "false": "0",
    # Whole ones are enough for how late a letter was, and cost half of what the others do.
    "late": "(unixepoch({until}) - unixepoch({since}))",
    "long": "round((julianday({until}) - julianday({since})) * 86400, 3)",
    "quarter": "unixepoch({moment}) / 900",
    "milliseconds": "CAST(MAX(0, {seconds}) * 1000 AS INTEGER)",
}
_POSTGRES = {
    "false": "false",
    "late": "date_part('epoch', {until} - {since})",
    "long": "date_part('epoch', {until} - {since})",
    "quarter": "floor(date_part('epoch', {moment}) / 900)::bigint",
    "milliseconds": "(GREATEST(0, {seconds}) * 1000)::bigint",
}


def _step(seconds: str, steps: Sequence[float]) -> str:
    """Return which step seconds belong to, found by halves: SQLite works them out anew for each comparison."""
    if not steps:
        return "'inf'"
    half = len(steps) // 2
    low = f"'{steps[0]}'" if half == 0 else _step_up_to(seconds, steps[: half + 1])
    return f"CASE WHEN {seconds} <= {steps[half]} THEN {low} ELSE {_step(seconds, steps[half + 1 :])} END"


def _step_up_to(seconds: str, steps: Sequence[float]) -> str:
    """Return the same of seconds that are known not to be beyond the last step."""
    if len(steps) == 1:
        return f"'{steps[0]}'"
    half = (len(steps) - 1) // 2
    low, high = _step_up_to(seconds, steps[: half + 1]), _step_up_to(seconds, steps[half + 1 :])
    return f"CASE WHEN {seconds} <= {steps[half]} THEN {low} ELSE {high} END"


def _delivery(words: dict[str, str], row: str) -> str:
    waits = _WAITS.format(row=row)
    seconds = words["late"].format(since=f"{row}.promised_at", until=f"{row}.sent_at")
    moment = f"CASE WHEN {waits} THEN {row}.due_at ELSE {row}.status_at END"
    return _DELIVERY.format(
        row=row,
        waits=waits,
        step=_step(seconds, _LATENESS),
        quarter=words["quarter"].format(moment=moment),
        milliseconds=words["milliseconds"].format(seconds=seconds),
    )


def _attempt(words: dict[str, str], row: str) -> str:
    seconds = words["long"].format(since=f"{row}.started_at", until=f"{row}.ended_at")
    return _ATTEMPT.format(
        row=row,
        false=words["false"],
        step=_step(seconds, _DURATION),
        quarter=words["quarter"].format(moment=f"{row}.ended_at"),
        milliseconds=words["milliseconds"].format(seconds=seconds),
    )


def _sums(*rows: str, part: str) -> str:
    """Sum the rows of these queries by counter; each row has a `sign`."""
    return f"""
        {_ADD_ANOTHER}
        SELECT kind, notice, detail, quarter, SUM(sign), SUM(sign * milliseconds), {part}
        FROM ({" UNION ALL ".join(rows)}) AS counted
        GROUP BY kind, notice, detail, quarter
        HAVING SUM(sign) <> 0 OR SUM(sign * milliseconds) <> 0
    """  # noqa: S608 - of constants


def _on_sqlite(table: str, event: str, *changes: tuple[int, str], when: str = "") -> str:
    """Return a trigger that changes the counters a row belongs to; there is one of each kind."""
    counted = "".join(
        f"""
        {_ADD} SELECT kind, notice, detail, quarter, {sign}, ({sign}) * milliseconds FROM (SELECT {columns}) WHERE true
        ON CONFLICT (kind, quarter, notice, detail, part)
        DO UPDATE SET number = number + excluded.number, milliseconds = milliseconds + excluded.milliseconds;
        """  # noqa: S608 - of constants
        for sign, columns in changes
    )
    verb = event.partition(" ")[0]
    return f"CREATE TRIGGER {table}_counted_{verb.lower()} AFTER {event} ON {table} {when} BEGIN {counted} END"


def _sqlite_triggers() -> list[str]:
    old, new = _delivery(_SQLITE, "OLD"), _delivery(_SQLITE, "NEW")
    still = f"{_WAITS} AND {_WAITS} AND OLD.due_at = NEW.due_at".replace("{row}", "OLD", 1).replace("{row}", "NEW")
    moved = "UPDATE OF status, status_at, promised_at, due_at, sent_at, held_reason, notice"
    return [
        _on_sqlite("deliveries", "INSERT", (1, new)),
        _on_sqlite("deliveries", moved, (-1, old), (1, new), when=f"WHEN NOT ({still})"),
        _on_sqlite("deliveries", "DELETE", (-1, old)),
        _on_sqlite("attempts", "INSERT", (1, _attempt(_SQLITE, "NEW"))),
    ]


_NEXT = "nextval('counters_id_seq')"


def _on_postgres(table: str, event: str, *rows: str, seen: str) -> list[str]:
    """Return a trigger, with its function, that counts all rows of a statement at once."""
    name = f"{table}_counted_{event.lower()}"
    return [
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {_sums(*rows, part=_NEXT)}; RETURN NULL; END $$",
        f"CREATE TRIGGER {name} AFTER {event} ON {table} REFERENCING {seen} FOR EACH STATEMENT EXECUTE FUNCTION {name}()",
    ]


def _postgres_triggers() -> list[str]:
    came = f"SELECT 1 AS sign, {_delivery(_POSTGRES, 'came')} FROM came"  # noqa: S608
    left = f"SELECT -1 AS sign, {_delivery(_POSTGRES, 'gone')} FROM gone"  # noqa: S608
    tried = f"SELECT 1 AS sign, {_attempt(_POSTGRES, 'came')} FROM came"  # noqa: S608
    new, old = "NEW TABLE AS came", "OLD TABLE AS gone"
    return [
        *_on_postgres("deliveries", "INSERT", came, seen=new),
        *_on_postgres("deliveries", "UPDATE", came, left, seen=f"{new} {old}"),
        *_on_postgres("deliveries", "DELETE", left, seen=old),
        *_on_postgres("attempts", "INSERT", tried, seen=new),
    ]


_RECORDS = ("operator_actions", "delivery_actions")

_REFUSE = """
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
    END $$
"""


def _append_only_sqlite(table: str) -> list[str]:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    there = f"EXISTS (SELECT 1 FROM {table} WHERE id = NEW.id)"  # noqa: S608 - a name of ours
    return [
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {refuse}",
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {refuse}",
        # INSERT OR REPLACE deletes without firing the trigger above.
        f"CREATE TRIGGER {table}_append_only BEFORE INSERT ON {table} WHEN {there} {refuse}",
    ]


def _append_only_postgres(table: str) -> list[str]:
    refuse = "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    return [
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {refuse}",
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {refuse}",
        f"CREATE TRIGGER {table}_append_only BEFORE TRUNCATE ON {table} {refuse}",
    ]


SQLITE = [*_sqlite_triggers(), *(statement for table in _RECORDS for statement in _append_only_sqlite(table))]
POSTGRES = [
    *_postgres_triggers(),
    _REFUSE,
    *(statement for table in _RECORDS for statement in _append_only_postgres(table)),
]
