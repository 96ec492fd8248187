"""Purged letters free their space: on SQLite the file does not grow by the texts of purged letters."""

from datetime import timedelta

import pytest

from app.crypto import Cipher
from app.domain.letter import Draft
from app.domain.schedule import Delay
from app.domain.status import Status
from app.store.audit import audit
from app.store.cipher import open_cipher
from app.store.database import connected, empty_write_ahead_log, sqlite_path
from app.store.letters import Letters
from app.store.models import Delivery, Letter
from app.store.retention import purge, vacuum, vacuum_if_worth_it
from tests.clock import NEW_YEAR as NOW

pytestmark = pytest.mark.anyio
LETTERS = 100
TEXT = "Dear you, the sea is calm. " * 120
DAY = timedelta(days=1)


async def _send_and_forget(letters: Letters, month: int) -> None:
    now = NOW + 60 * month * DAY
    for number in range(LETTERS):
        await letters.post(Draft(recipient_email=f"{number}@example.org", body=TEXT), now)
    await Delivery.filter(status=Status.SCHEDULED).update(status=Status.SENT, status_at=now, sent_at=now)
    assert sum([purged async for purged in purge(now + 31 * DAY, 30 * DAY)]) == LETTERS


def _size(url: str) -> int:
    return sqlite_path(url).stat().st_size


async def test_round_after_round_the_file_grows_by_less_than_the_texts(sqlite_url: str) -> None:
    sizes: list[int] = []
    async with connected(sqlite_url):
        letters = Letters(
            await open_cipher(Cipher(["k" * 32])), first_delay=Delay(days=7), second_delay=Delay(days=30),
            message_domain="slow.test",
        )  # fmt: skip
        for month in range(3):
            await _send_and_forget(letters, month)
            await empty_write_ahead_log()
            before = _size(sqlite_url)
            assert await vacuum_if_worth_it()
            sizes.append(_size(sqlite_url))
            assert sizes[-1] < before * 0.75
        assert not await vacuum_if_worth_it()
        assert (await audit()).adds_up
    kept = (sizes[2] - sizes[0]) / (2 * LETTERS)  # of each letter: its dates, hashes and deliveries
    assert kept < len(TEXT) * 0.75


async def test_it_is_run_on_either_database_at_any_time(database_url: str) -> None:
    async with connected(database_url):
        await vacuum()
        assert await Letter.all().count() == 0
