"""What machines that watch the program are told, and the rules by which they raise an alarm."""

import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.domain.status import AttemptResult, HeldReason, Status
from app.settings import Settings
from app.store.job_runs import SCAN, record_job_end, record_job_start
from app.store.models import Delivery
from app.store.workers import SCHEDULER, acquire_lease, heartbeat, register, unregister
from app.web.app import create_app
from app.wiring import open_services
from tests.clock import NEW_YEAR as NOW
from tests.clock import FrozenClock
from tests.ledger import Ledger, claim_due, new_worker

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/alerts.yml"
MINUTE = timedelta(minutes=1)
LEASE = timedelta(seconds=30)


@pytest.fixture
async def office(database_url: str, clock: FrozenClock) -> AsyncIterator[tuple[httpx.AsyncClient, Ledger]]:
    """A program that only answers, and its ledger; nobody delivers."""
    settings = Settings(database_url=database_url, secret_key=("k" * 32,), lease=LEASE)
    app = create_app(settings, clock)
    async with open_services(settings, clock) as services:
        app.state.services = services
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            yield client, Ledger(services.cipher)


Office = tuple[httpx.AsyncClient, Ledger]


async def _metrics(client: httpx.AsyncClient) -> dict[str, float]:
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    samples = [each for family in text_string_to_metric_families(answer.text) for each in family.samples]
    return {" ".join([each.name, *each.labels.values()]).removeprefix("slow_mailbox_"): each.value for each in samples}


PROXY, VISITOR = "127.0.0.1", "203.0.113.9"


async def _status(url: str, clock: FrozenClock, peer: str, forwarded: str | None = None, **settings: Any) -> int:
    """Return what `/metrics` answers a peer."""
    chosen = Settings(database_url=url, secret_key=("k" * 32,), **settings)
    app = create_app(chosen, clock)
    async with open_services(chosen, clock) as services:
        app.state.services = services
        transport = httpx.ASGITransport(app, client=(peer, 50_000))
        headers = {"X-Forwarded-For": forwarded} if forwarded else {}
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000", headers=headers) as client:
            answer = await client.get("/metrics")
            assert ("slow_mailbox_deliveries" in answer.text) == (answer.status_code == 200)
            assert (await client.get("/healthz")).status_code == 200
    return answer.status_code


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
async def test_metrics_are_for_this_machine(sqlite_url: str, clock: FrozenClock, peer: str) -> None:
    assert await _status(sqlite_url, clock, peer) == 200


@pytest.mark.parametrize("peer", [VISITOR, "2001:db8::9", ""])
async def test_metrics_are_for_nobody_else(sqlite_url: str, clock: FrozenClock, peer: str) -> None:
    assert await _status(sqlite_url, clock, peer) == 404
    assert await _status(sqlite_url, clock, peer, "127.0.0.1") == 404


@pytest.mark.parametrize("forwarded", [VISITOR, f"127.0.0.1, {VISITOR}"])
async def test_who_comes_through_a_proxy_is_not_this_machine(
    sqlite_url: str, clock: FrozenClock, forwarded: str
) -> None:
    assert await _status(sqlite_url, clock, PROXY, forwarded, trusted_proxies=(PROXY,)) == 404
    assert await _status(sqlite_url, clock, PROXY, forwarded) == 404  # a proxy that the settings do not name


async def test_metrics_are_for_the_networks_of_a_setting(sqlite_url: str, clock: FrozenClock) -> None:
    networks = ("203.0.113.0/24", "2001:db8::/64")
    for peer, status in (
        (VISITOR, 200),
        (f"::ffff:{VISITOR}", 200),
        ("2001:db8::9", 200),
        ("203.0.114.9", 404),
        ("2001:db8:1::9", 404),
    ):
        assert await _status(sqlite_url, clock, peer, metrics_allow=networks) == status
    assert await _status(sqlite_url, clock, PROXY, VISITOR, trusted_proxies=(PROXY,), metrics_allow=networks) == 200
    assert await _status(sqlite_url, clock, PROXY, VISITOR, metrics_allow=networks) == 404


async def test_the_ledger_is_told_as_it_stands(office: Office) -> None:
    client, ledger = office
    for minutes in (0, 20, 30):
        await ledger.add(Status.SCHEDULED, NOW - minutes * MINUTE)
    await ledger.add(Status.HELD, NOW)
    await ledger.add(Status.FAILED, NOW)
    sent = await ledger.add(Status.SENT, NOW)
    await Delivery.filter(id=sent.id).update(promised_at=NOW - 2 * MINUTE)
    await ledger.attempt(sent, AttemptResult.ACCEPTED, 250, "ok")
    await claim_due(await new_worker(), limit=1)
    found = await _metrics(client)
    states = {status: found[f"deliveries {status}"] for status in Status}
    assert states == dict.fromkeys(Status, 1) | {Status.SCHEDULED: 2, Status.UNCERTAIN: 0, Status.CANCELLED: 0}
    assert found["deliveries_held operator"] == 1
    assert (found["deliveries_due"], found["oldest_due_age_seconds"]) == (2, 20 * 60)
    assert (found["attempts_total accepted"], found["attempts_total permanent"]) == (1, 0)
    assert found["attempt_duration_seconds_bucket 0.01 accepted"] == 1
    assert found["attempt_duration_seconds_count accepted"] == 1
    assert [found[f"lateness_seconds_bucket {step}"] for step in ("60.0", "300.0", "+Inf")] == [0, 1, 1]
    assert found["lateness_seconds_sum"] == pytest.approx(120, abs=1)


async def test_the_office_is_told_as_it_stands(office: Office, clock: FrozenClock) -> None:
    client, _ = office
    empty = await _metrics(client)
    assert (empty["leader_alive"], empty["workers"], empty["paused"], empty["breakers_open"]) == (0, 0, 0, 0)
    worker = await new_worker()
    await acquire_lease(SCHEDULER, worker, NOW)
    await record_job_start(SCAN, "post", NOW, NOW + MINUTE)
    await record_job_end(SCAN, NOW, timedelta(seconds=3), 7)
    await heartbeat(worker, NOW, "no route to host")
    found = await _metrics(client)
    assert (found["leader_alive"], found["workers"], found["breakers_open"]) == (1, 1, 1)
    assert (found["scan_duration_seconds_count"], found["scan_duration_seconds_sum"]) == (1, 3)
    assert found["next_scan_timestamp_seconds"] - found["last_scan_timestamp_seconds"] == 60
    clock.advance(LEASE + MINUTE)
    assert (await _metrics(client))["leader_alive"] == 0


async def test_labels_do_not_grow_with_the_ledger(office: Office) -> None:
    client, ledger = office
    names = set(await _metrics(client))
    for status in Status:
        await ledger.add(status, NOW, reader=f"{status}@{status}.example")
    for reason in HeldReason:
        if reason is not HeldReason.UNCONFIRMED:
            await Delivery.filter(status=Status.HELD).update(held_reason=reason)
    assert set(await _metrics(client)) == names
    assert len(names) < 120


async def test_ready_means_that_somebody_leads(office: Office, clock: FrozenClock) -> None:
    client, _ = office

    async def asked() -> tuple[int, str]:
        answer = await client.get("/readyz")
        return answer.status_code, answer.json()["scheduler"]

    assert await asked() == (200, "ok")  # nobody has begun yet
    worker = await new_worker()
    await acquire_lease(SCHEDULER, worker, NOW)
    await record_job_start(SCAN, "post", NOW, NOW + MINUTE)
    clock.advance(2 * LEASE)
    assert await asked() == (200, "ok")
    clock.advance(timedelta(seconds=1))
    assert await asked() == (503, "stale")
    await unregister(worker)
    assert await asked() == (200, "ok")  # it left, and the next scan is not late yet
    clock.advance(2 * LEASE)
    assert await asked() == (503, "stale")
    await register(worker, "post", clock.now())
    await acquire_lease(SCHEDULER, worker, clock.now())
    assert await asked() == (200, "ok")


async def test_every_line_of_a_request_carries_its_name(office: Office, capfd: pytest.CaptureFixture[str]) -> None:
    client, _ = office
    for _ in range(2):
        await client.post(
            "/admin/login", data={"username": "a", "password": "b"}, headers={"Origin": "http://127.0.0.1:8000"}
        )
    lines = [line for line in "".join(capfd.readouterr()).splitlines() if "request_id=" in line]
    names = [re.findall("request_id=([0-9a-f]{16})", line) for line in lines]
    assert len(lines) == 4
    assert ["login refused" in line for line in lines] == [True, False, True, False]
    assert names[0] == names[1] != names[2] == names[3]


def _named() -> set[str]:
    """Return the metrics that the rules ask for."""
    return set(re.findall(r"\bslow_mailbox_[a-z_]+", RULES.read_text()))


async def test_every_metric_that_an_alert_names_is_exported(office: Office) -> None:
    client, _ = office
    await record_job_start(SCAN, "post", NOW, NOW + MINUTE)
    exported = {f"slow_mailbox_{name.partition(' ')[0]}" for name in await _metrics(client)}
    assert len(_named()) > 6
    assert _named() - exported == set()


def test_the_alerts_pass_their_own_tests(tmp_path: Path) -> None:
    if not shutil.which("promtool"):
        pytest.skip("there is no promtool: apt-get install prometheus")
    for path in (RULES, Path(__file__).parent / "prometheus/alerts_test.yml"):
        shutil.copy(path, tmp_path)
    for words in (["check", "rules", "--lint-fatal", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
        done = subprocess.run(["promtool", *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_shown_to_fire() -> None:
    tried = (Path(__file__).parent / "prometheus/alerts_test.yml").read_text()
    alerts = re.findall(r"alert: (\w+)", RULES.read_text())
    assert len(alerts) == len(set(alerts))
    assert [name for name in alerts if name not in tried] == []
