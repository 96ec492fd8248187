"""A domain for which the mail server stops answering keeps connections free for others."""

import asyncio

import pytest

from tests.delivery.test_dispatcher import Stalling
from tests.delivery.workers import Choices, Town
from tests.smtp_server import MailServer

pytestmark = pytest.mark.anyio


async def test_a_quick_domain_that_falls_silent_holds_no_other_s_letters(town: Town, server: MailServer) -> None:
    """Ten connections, and thirty letters to a domain for which the server stops answering in the middle of a wave."""
    await town.post_and_wait("quick@silent.test")
    async with town.office(server.port, Choices(seats=10)) as office:
        await office.deliver()
        server.policy = stalling = Stalling("silent.test")
        await town.post_and_wait(*(f"reader{number}@silent.test" for number in range(30)))
        scan = office.scan.start()
        await stalling.begun.wait()
        await town.post_and_wait(*(f"reader{number}@x{number}.test" for number in range(50)))
        office.scan.start()
        async with asyncio.timeout(60):
            await server.has_accepted(51)
        assert stalling.letters == 8
        office.scan.stop()
        await scan
