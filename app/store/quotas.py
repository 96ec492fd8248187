"""How many letters are taken in a day: counted in the ledger, so that several processes agree."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from app.domain.status import Occasion, Status
from app.errors import TooMany
from app.store.database import connection
from app.store.models import Correction, Delivery, Letter
from app.store.row_ids import lowest_row_id
from app.store.statements import as_uuid, numbered

_DAY = timedelta(days=1)
_WAIT = 3600
"""Seconds after which to try again, whichever quota it was: the right answer would tell what others wrote."""

# Of each, the newest letter too many: if it was written within the day, so were all after it. The
# ids are in the order of writing, so this reads as many entries of an index as the quota allows. A
# corrected address counts like a letter: else letters could be gathered, and turned to one reader.
_NEWEST = """
    SELECT * FROM (
        SELECT * FROM (SELECT id FROM letters WHERE {mine} ORDER BY id DESC LIMIT {most} + 1) AS written
        UNION ALL
        SELECT * FROM (SELECT id FROM corrections WHERE {mine} ORDER BY id DESC LIMIT {most} + 1) AS corrected
        ORDER BY id DESC LIMIT 1 OFFSET {most}
    ) AS too_many WHERE id >= @4
"""
_OF_WRITER = """
    SELECT * FROM (SELECT id FROM letters WHERE sender_mac = @3 ORDER BY id DESC LIMIT 1 OFFSET {most}) AS too_many
    WHERE id >= @4
"""
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"


async def one_at_a_time(*macs: str) -> None:
    """Let nobody else do anything about these addresses until the transaction ends.

    SQLite lets one transaction write at a time anyway, PostgreSQL is asked to.
    """
    if connection().capabilities.dialect == "postgres":
        for mac in sorted(set(macs)):
            await connection().execute_query(_LOCK, [mac])


@dataclass(frozen=True, slots=True)
class Quotas:
    """Letters in 24 hours: to one reader, to one domain, from one writer's address, and in all.

    `corrections` is how often in that time one letter may be given another address; `receipts` how
    many go to one address that never said it was the writer's.
    """

    reader: int = 50
    domain: int = 2_000
    writer: int = 50
    everybody: int = 10_000
    corrections: int = 5
    receipts: int = 10

    async def check(self, letter: Letter, now: datetime) -> None:
        """Count a letter that was just stored or corrected, in its own transaction.

        Those to and from one address are counted one after another. Raises TooMany; the same for
        every quota, so that nobody learns who is written to.
        """
        await one_at_a_time(letter.recipient_mac, letter.sender_mac or letter.recipient_mac)
        sql = " UNION ALL ".join(
            (
                _NEWEST.format(mine="recipient_mac = @1", most=self.reader),
                _NEWEST.format(mine="recipient_domain_mac = @2", most=self.domain),
                _OF_WRITER.format(most=self.writer),
                _NEWEST.format(mine="true", most=self.everybody),
            )
        )
        macs = [letter.recipient_mac, letter.recipient_domain_mac, letter.sender_mac]
        since = as_uuid(lowest_row_id(now - _DAY))
        if await connection().execute_query_dict(numbered(sql), [*macs, since]):
            raise TooMany(_WAIT)

    async def spare_writer(self, letter: Letter, now: datetime) -> None:
        """Call off the receipt of a letter that was just counted, where its writer's address got enough of them.

        Whoever wants to flood a mailbox need not write to it: to write in its name is enough.
        """
        lately = Letter.filter(sender_mac=letter.sender_mac, id__gte=lowest_row_id(now - _DAY))
        if letter.sender_mac and await lately.count() > self.receipts:
            receipts = Delivery.filter(letter_id=letter.id, occasion=Occasion.RECEIPT)
            await receipts.update(status=Status.CANCELLED, status_at=now)

    async def check_corrections(self, letter_id: UUID, now: datetime) -> None:
        """Count the correction of a letter that was just stored, in its own transaction. Raises TooMany."""
        lately = Correction.filter(letter_id=letter_id, id__gte=lowest_row_id(now - _DAY))
        if await lately.count() > self.corrections:
            raise TooMany(_WAIT)
