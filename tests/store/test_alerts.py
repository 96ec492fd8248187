"""Claims of notifications, on both databases."""

from datetime import timedelta

import pytest

from app.store.alerts import claim_unsent
from app.store.operator_models import RaisedAlert
from tests.clock import NEW_YEAR as NOW

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("ledger")]
HOUR = timedelta(hours=1)


async def test_a_notification_that_failed_for_days_is_retried_every_hour() -> None:
    await RaisedAlert.create(name="late", since=NOW, fired_at=NOW, attempted_at=NOW, attempts=1_000)
    assert await claim_unsent(NOW + HOUR - timedelta(seconds=1)) == []
    assert [alert.name for alert in await claim_unsent(NOW + HOUR)] == ["late"]
    assert await claim_unsent(NOW + HOUR) == []
