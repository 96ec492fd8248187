"""Those who change one letter at once on PostgreSQL wait for one another, and never each for the other."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import asyncpg
import pytest

from app.crypto import Cipher, token_hash
from app.domain.letter import Draft
from app.domain.schedule import Delay, Promise
from app.errors import EditWindowClosed, LetterNotFound, NotCorrectable, NotWithdrawable
from app.store.address_change import Corrections
from app.store.cipher import open_cipher
from app.store.confirmation import Confirmations
from app.store.editing import LetterEditor
from app.store.letters import Letters
from app.store.models import Delivery, Letter
from app.store.operator_actions import hold
from app.store.retention import erase
from app.store.unsubscribe import stop
from tests.clock import NEW_YEAR as NOW
from tests.ledger import READER, WRITER
from tests.store.locks import in_the_way, waiting

pytestmark = pytest.mark.anyio

DRAFT = Draft(recipient_email=READER, body="Dear you", sender_email=WRITER)
ONCE = Promise(NOW + timedelta(days=7), None)
TWICE = Promise(NOW + timedelta(days=7), NOW + timedelta(days=60))
REFUSALS = (LetterNotFound, NotCorrectable, NotWithdrawable, EditWindowClosed)
"""What whoever comes second may be told."""

Change = Callable[[], Awaitable[object]]


@pytest.fixture
async def changes(outsider: asyncpg.Connection) -> dict[str, Change]:
    """All that may be done to one letter, whose second delivery came into the ledger after its receipt."""
    assert outsider
    cipher = await open_cipher(Cipher(["k" * 32]))
    letters = Letters(
        cipher,
        first_delay=Delay(days=7),
        second_delay=Delay(days=30),
        message_domain="slow.test",
        edit_window=timedelta(hours=1),
    )
    changing = LetterEditor(cipher, "slow.test")
    token = (await letters.post(DRAFT, NOW, ONCE)).token
    await changing.edit(token, DRAFT, TWICE, NOW)
    letter = await Letter.get(token_hash=token_hash(token))
    reader = cipher.reader_token(letter.id, letter.recipient_hmac)
    correcting = Corrections(cipher, None, Confirmations(cipher, "slow.test"), confirmed=False)
    ids = [delivery.id for delivery in await Delivery.all()]

    def at_once(do: Callable[[str, datetime], Awaitable[object]], link: str) -> Change:
        return lambda: do(link, NOW)

    return {
        "change": lambda: changing.edit(token, DRAFT, TWICE, NOW),
        "correct": lambda: correcting.correct_by_token(token, "sujin@right.example", None, NOW),
        "withdraw": at_once(letters.withdraw, token),
        "erase": at_once(erase, token),
        "stop": at_once(stop, reader),
        "hold": lambda: hold(ids, NOW),
    }


async def _waits_behind(outsider: asyncpg.Connection, first: Change, then: Change, lock: str) -> Sequence[object]:
    """Let one come to a stop at a row, and the other behind it; then let both go on."""
    async with in_the_way(outsider, lock):
        one = asyncio.ensure_future(first())
        await waiting(outsider, 1)
        other = asyncio.ensure_future(then())
        await waiting(outsider, 2)
    return await asyncio.gather(one, other, return_exceptions=True)


@pytest.mark.parametrize("second", ["stop", "withdraw", "erase", "correct", "change"])
@pytest.mark.parametrize("first", ["change", "correct", "hold"])
async def test_nobody_waits_for_whoever_waits_for_them(
    outsider: asyncpg.Connection, changes: dict[str, Change], first: str, second: str
) -> None:
    lock = "SELECT 1 FROM deliveries WHERE occasion = 'second' FOR UPDATE"
    ends = await _waits_behind(outsider, changes[first], changes[second], lock)
    assert [end for end in ends if isinstance(end, BaseException) and not isinstance(end, REFUSALS)] == []
