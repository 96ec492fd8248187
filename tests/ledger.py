"""Stores rows directly in states that are otherwise reached only with a mail server."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from uuid import UUID, uuid4

from app.domain.status import AttemptResult, HeldReason, Occasion, Status
from app.store.cipher import LETTER_COLUMNS, LetterCipher
from app.store.claims import Claimed, claim
from app.store.models import Attempt, Delivery, Letter
from app.store.workers import register
from tests.clock import NEW_YEAR as NOW

READER, WRITER = "minji@example.org", "jun@example.net"


async def new_worker(name: str = "worker") -> UUID:
    worker = uuid4()
    await register(worker, name, NOW)
    return worker


class Ledger:
    """Stores deliveries in any state, a letter each."""

    def __init__(self, cipher: LetterCipher) -> None:
        self._cipher = cipher
        self._numbers: Iterator[int] = count(1)

    async def letter(self, reader: str = READER) -> UUID:
        letter_id = uuid4()
        values = dict.fromkeys(LETTER_COLUMNS, "secret") | {"recipient_email": reader, "sender_email": WRITER}
        letter = Letter(
            id=letter_id,
            token_hash=letter_id.hex,
            revision=1,
            recipient_hmac="r",
            sender_hmac="s",
            language="en",
            timezone="UTC",
            written_at=NOW,
            send_at=NOW + timedelta(days=7),
            **self._cipher.seal_letter(letter_id, 1, values),
        )
        await letter.save(force_create=True)
        return letter_id

    async def add(
        self, status: Status, at: datetime, *, reader: str = READER, occasion: Occasion = Occasion.FIRST
    ) -> Delivery:
        delivery = Delivery(
            letter_id=await self.letter(reader),
            occasion=occasion,
            notice=occasion.is_notice,
            status=status,
            status_at=at,
            promised_at=at,
            due_at=at,
            message_id=f"<{next(self._numbers)}@example.org>",
            domain_hmac="d",
            held_reason=HeldReason.OPERATOR if status is Status.HELD else None,
            sent_at=at if status is Status.SENT else None,
        )
        if status is Status.CLAIMED:
            delivery.claim_token, delivery.claimed_by_id = uuid4(), await new_worker()
        await delivery.save()
        return delivery

    async def attempt(self, delivery: Delivery, outcome: AttemptResult, code: int | None, answer: str) -> None:
        await Attempt.create(
            delivery=delivery,
            claim_token=uuid4(),
            worker_name="worker",
            started_at=NOW,
            handed_over_at=NOW,
            ended_at=NOW,
            outcome=outcome,
            code=code,
            enhanced="4.2.1" if code else "",
            answer=answer,
        )

    async def multiply(self, delivery: Delivery, times: int) -> None:
        """Add `times` copies of a delivery, each with its own letter."""
        letter = await Letter.get(deliveries__id=delivery.id)
        letters = [letter.clone(pk=uuid4()) for _ in range(times)]
        for each in letters:
            each.token_hash = each.id.hex
        await Letter.bulk_create(letters)
        copies = [delivery.clone(pk=None) for _ in range(times)]
        for copy, each in zip(copies, letters, strict=True):
            copy.letter_id, copy.message_id = each.id, f"<{each.id}>"
        await Delivery.bulk_create(copies)


async def claim_due(worker: UUID, *, notices: bool = False, limit: int = 1000) -> list[Claimed]:
    """Claim the deliveries due at NOW, with a new token."""
    return await claim(worker, uuid4(), NOW, limit, notices=notices)
