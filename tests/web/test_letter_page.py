"""What the postmark page says of mail servers: what they answered, and nothing of one that is not set."""

from uuid import uuid4

import httpx
import pytest

from app.domain.refusal import Reason
from app.domain.status import AttemptResult, HeldReason, Status
from app.store.models import Attempt, Delivery
from app.wiring import Services
from tests.web.requests import asking, posted

pytestmark = pytest.mark.anyio


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


async def test_a_refusal_is_told_in_plain_words_and_in_the_servers_own(services: Services) -> None:
    settings = services.settings.model_copy(update={"smtp_url": "smtp://127.0.0.1:9"})
    async with asking(services, settings=settings) as client:
        token = await posted(client)
        first = await Delivery.get(occasion="first")
        await Attempt.create(
            delivery=first,
            claim_token=uuid4(),
            worker_name="worker",
            started_at=first.status_at,
            ended_at=first.status_at,
            outcome=AttemptResult.PERMANENT,
            code=550,
            enhanced="5.1.1",
            answer="nobody <here>",
            reason=Reason.NO_SUCH_ADDRESS,
        )
        await Delivery.filter(occasion="first").update(status=Status.FAILED, attempts=1)
        await Delivery.filter(occasion="second").update(status=Status.HELD, held_reason=HeldReason.FIRST_REFUSED)
        page = (await client.get(f"/letters/{token}")).text
    assert "The mail server says that there is no such address." in page
    assert "550 5.1.1 nobody &lt;here&gt;" in page
    assert page.count("Its reply:") == 1
    assert "<h1>Your letter could not be delivered</h1>" in page
    assert "Was the address wrong?" in page
    assert f'<a class="button" href="/letters/{token}/address">' in page


async def test_a_mail_server_took_a_letter_only_where_one_is_set(services: Services, client: httpx.AsyncClient) -> None:
    token = await posted(client)
    await Delivery.all().update(status=Status.SENT, sent_at=services.clock.now())
    page = (await client.get(f"/letters/{token}")).text
    assert "is in the outbox here" in page
    assert "the mail server accepted it" not in page
    assert "/withdraw" not in page
    settings = services.settings.model_copy(update={"smtp_url": "smtp://127.0.0.1:9"})
    async with asking(services, settings=settings) as served:
        page = (await served.get(f"/letters/{token}")).text
    assert page.count("the mail server accepted it") == 2


@pytest.mark.parametrize(("policy", "words"), [("resend", "we send it again"), ("hold", "operator checks it")])
async def test_what_happens_to_an_uncertain_letter_is_said(services: Services, policy: str, words: str) -> None:
    settings = services.settings.model_copy(update={"on_uncertain": policy})
    async with asking(services, settings=settings) as client:
        token = await posted(client)
        await Delivery.all().update(status=Status.UNCERTAIN)
        assert words in (await client.get(f"/letters/{token}")).text
