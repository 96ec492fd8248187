"""A domain for which the mail server stops answering keeps connections free for others."""

import asyncio

import pytest

from tests.delivery.test_dispatcher import Stalling
from tests.delivery.workers import Choices, Harness
from tests.smtp_server import MailServer

pytestmark = pytest.mark.anyio


async def test_a_fast_domain_that_falls_silent_holds_up_no_other(harness: Harness, server: MailServer) -> None:
    """Ten connections, and thirty letters to a domain for which the server stops answering in the middle of a wave."""
    await harness.post_and_wait("quick@silent.test")
    async with harness.process(server.port, Choices(slots=10)) as process:
        await process.deliver()
        server.policy = stalling = Stalling("silent.test")
        await harness.post_and_wait(*(f"reader{number}@silent.test" for number in range(30)))
        scan = process.dispatcher.start()
        await stalling.begun.wait()
        await harness.post_and_wait(*(f"reader{number}@x{number}.test" for number in range(50)))
        process.dispatcher.start()
        async with asyncio.timeout(60):
            await server.has_accepted(51)
        assert stalling.letters == 8
        process.dispatcher.stop()
        await scan
