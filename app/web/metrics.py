"""Metrics for Prometheus; the ledger's are the same from every process."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from math import inf

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from app.delivery.loop_errors import survived
from app.domain.status import AttemptResult, HeldReason, Status
from app.log import LogStream
from app.store.counters import DURATION, LATENESS, WAITING, CounterValue
from app.store.job_runs import SCAN
from app.store.models import JobRun
from app.store.statistics import MonitorView

_PREFIX = "slow_mailbox_"


def exposition(watched: MonitorView, now: datetime, lease: timedelta, *, paused: bool) -> bytes:
    """A leader that was not seen for `lease` counts as stalled."""
    registry = CollectorRegistry()
    registry.register(
        _Look([*_ledger(watched, now), *_tries(watched.counts), *_office(watched, now, lease, paused), *_process()])
    )
    return generate_latest(registry)


class _Look(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _ledger(watched: MonitorView, now: datetime) -> Iterator[Metric]:
    numbers = {status: _sum(watched.counts, status) for status in Status}
    claimed = watched.backlog.claimed
    numbers |= {Status.CLAIMED: claimed, Status.SCHEDULED: _sum(watched.counts, WAITING) - claimed}
    yield _gauges("deliveries", "Deliveries by the state they are in.", "status", numbers)
    held = {reason: _sum(watched.counts, Status.HELD, reason) for reason in HeldReason}
    yield _gauges("deliveries_held", "Held deliveries by why they are.", "reason", held)
    yield _gauge("deliveries_due", "Deliveries that are due and have not left.", watched.backlog.due)
    oldest = watched.backlog.oldest_due_at
    age = max(0.0, (now - oldest).total_seconds()) if oldest else 0.0
    yield _gauge("oldest_due_age_seconds", "How long the oldest delivery has been due; 0 if none is.", age)
    letters = [count for count in watched.counts if count.kind == Status.SENT and not count.notice]
    lateness = HistogramMetricFamily(_PREFIX + "lateness_seconds", "From a letter's promised time to its sending.")
    lateness.add_metric([], _buckets(letters, LATENESS), _seconds(letters))
    yield lateness


def _tries(counts: list[CounterValue]) -> Iterator[Metric]:
    total = CounterMetricFamily(_PREFIX + "attempts", "Attempts by how they ended.", labels=["outcome"])
    took = HistogramMetricFamily(_PREFIX + "attempt_duration_seconds", "How long attempts took.", labels=["outcome"])
    for outcome in AttemptResult:
        theirs = [count for count in counts if count.kind == outcome]
        total.add_metric([outcome.value], sum(count.number for count in theirs))
        took.add_metric([outcome.value], _buckets(theirs, DURATION), _seconds(theirs))
    yield total
    yield took


def _office(watched: MonitorView, now: datetime, lease: timedelta, paused: bool) -> Iterator[Metric]:
    seen_at = watched.leader_seen_at
    alive = seen_at is not None and now - seen_at <= lease
    yield _gauge("leader_alive", "1 while a process that holds the scheduler's lease shows that it lives.", alive)
    age = max(0.0, (now - seen_at).total_seconds()) if seen_at else inf
    yield _gauge("lease_age_seconds", "Since the holder of the scheduler's lease was seen.", age)
    yield _gauge("workers", "Processes that may claim deliveries.", watched.workers)
    yield _gauge("breakers_open", "Processes that cannot use the mail server just now.", watched.troubled)
    yield _gauge("paused", "1 while all sending is paused.", watched.paused or paused)
    if watched.last_scan:
        yield from _scans(watched.last_scan)


def _process() -> Iterator[Metric]:
    """Yield the metrics of this process alone."""
    lines = CounterMetricFamily(_PREFIX + "log_failures", "Log lines that this process could not write.")
    lines.add_metric([], LogStream.failures)
    yield lines
    errors = CounterMetricFamily(
        _PREFIX + "loop_errors", "Errors that loops of this process survived.", labels=["loop"]
    )
    for loop, number in survived.items():
        errors.add_metric([loop], number)
    yield errors


def _scans(run: JobRun) -> Iterator[Metric]:
    took = SummaryMetricFamily(_PREFIX + f"{SCAN}_duration_seconds", "How long the scheduler's scans took.")
    took.add_metric([], run.runs, run.milliseconds / 1000)
    yield took
    yield _gauge("last_scan_timestamp_seconds", "When the last scan began.", run.started_at.timestamp())
    yield _gauge("last_scan_started_deliveries", "How many sendings the last scan began.", run.number)
    if run.next_at:
        yield _gauge("next_scan_timestamp_seconds", "When the next scan is to begin.", run.next_at.timestamp())


def _gauge(name: str, help_: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(_PREFIX + name, help_, float(value))


def _gauges(name: str, help_: str, label: str, numbers: dict[Status, int] | dict[HeldReason, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(_PREFIX + name, help_, labels=[label])
    for key, number in numbers.items():
        family.add_metric([key.value], number)
    return family


def _sum(counts: list[CounterValue], kind: str, detail: str = "") -> int:
    return sum(count.number for count in counts if count.kind == kind and detail in ("", count.detail))


def _seconds(counts: list[CounterValue]) -> float:
    return sum(count.milliseconds for count in counts) / 1000


def _buckets(counts: list[CounterValue], steps: tuple[float, ...]) -> list[tuple[str, float]]:
    """Return cumulative counts, as Prometheus expects."""
    return [
        ("+Inf" if step == inf else str(step), sum(count.number for count in counts if float(count.detail) <= step))
        for step in steps
    ]
