"""A wave of due letters: how fast it goes out, what that costs, and whether all of it arrived."""

import contextlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from tests.bench import ours, peers
from tests.bench.bench import Bench
from tests.bench.preparation import fill
from tests.bench.processes import Child, child
from tests.bench.proxy import delaying
from tests.bench.report import Rounds, say
from tests.bench.sink import Sink, Stretch, sink, source, watch

LIMIT, AWAITED, TEN = "smtp-source -d -s 50", "awaited loop", "aiosmtplib.send(), 10 at once"
ONE, TWO, SQLITE = "ours, 1 process, PostgreSQL", "ours, 2 processes, PostgreSQL", "ours, 1 process, SQLite"
_DELAY = 0.02  # seconds
_LONGEST = 300.0  # seconds for one run
_AGO = 20  # the slow ones send a twentieth of the letters


@dataclass(frozen=True, slots=True)
class Ours:
    """This program: so many processes on one database."""

    name: str
    database: str
    processes: int


def fast(bench: Bench) -> None:
    """Compare on a server that answers at once."""
    letters, rounds = bench.sizes.letters, Rounds()
    prepared = _prepared(bench, letters)
    idle = {kind: _idle_cpu(bench, kind) for kind in prepared}
    for number in range(bench.sizes.rounds):
        if number and not bench.bound.allows(120, f"round {number + 1} of the wave"):
            break
        _round(bench, rounds, prepared, idle)
    say(f"\nA wave of {letters:,} due letters of 4 KB in Korean, into smtp-sink")
    for name in (LIMIT, TWO, ONE, SQLITE, TEN, AWAITED):
        say(f"  {name:32} {rounds.spread(name)} letters/s")
    for name in (ONE, TWO, SQLITE):
        of_limit, of_awaited = rounds.ratio(name, LIMIT), rounds.ratio(name, AWAITED)
        say(
            f"  {name:32} {of_limit:.2f} of smtp-source, {of_awaited:.1f} x the awaited loop, "
            f"{rounds.median(f'{name} cpu'):.0f} us CPU a letter, {rounds.median(f'{name} peak'):.0f} MiB at most"
        )


def _round(bench: Bench, rounds: Rounds, prepared: dict[str, str], idle: dict[str, float]) -> None:
    """Run each of them once, one after another."""
    letters = bench.sizes.letters
    with sink(bench.folder) as server:
        command = source(server.port, letters, bench.message)
        rounds.add(LIMIT, _peer(bench, server, command, letters).rate)
    for one in (Ours(ONE, "postgres", 1), Ours(TWO, "postgres", 2), Ours(SQLITE, "sqlite", 1)):
        with bench.databases.copied(prepared[one.database]) as url, sink(bench.folder) as server:
            with _senders(bench, one, url, server.port) as senders:
                stretch = watch(server, senders, letters, _LONGEST)
                costs = [sender.wait(30) for sender in senders]
            _check(one.name, server, letters)
        rounds.add(one.name, stretch.rate)
        cpu = sum(cost.cpu for cost in costs) - one.processes * idle[one.database]
        rounds.add(f"{one.name} cpu", cpu / letters * 1e6)
        rounds.add(f"{one.name} peak", max(cost.peak for cost in costs))
    for name, peer in ((TEN, "aiosmtplib"), (AWAITED, "awaited")):
        few = max(1, letters // _AGO)
        with sink(bench.folder) as server:
            rounds.add(name, _peer(bench, server, peers.command(peer, server.port, few, bench.message), few).rate)


def delayed(bench: Bench) -> None:
    """Compare on a server whose every answer is 20 ms away: ten connections, and ten at once."""
    letters, rounds = max(10, bench.sizes.letters // 4), Rounds()
    few = max(10, letters // _AGO)
    prepared = _prepared(bench, letters)
    for number in range(bench.sizes.rounds):
        if number and not bench.bound.allows(60, f"round {number + 1} with delayed answers"):
            break
        for name, kind in ((ONE, "postgres"), (SQLITE, "sqlite")):
            with bench.databases.copied(prepared[kind]) as url, sink(bench.folder) as server:
                with (
                    delaying(server.port, _DELAY) as port,
                    _senders(bench, Ours(name, kind, 1), url, port) as senders,
                ):
                    rounds.add(name, watch(server, senders, letters, _LONGEST).rate)
                    senders[0].wait(30)
                _check(name, server, letters)
        with sink(bench.folder) as server, delaying(server.port, _DELAY) as port:
            rounds.add(TEN, _peer(bench, server, peers.command("aiosmtplib", port, few, bench.message), few).rate)
    say(f"\nThe same with every answer delayed by {_DELAY * 1000:.0f} ms; 10 connections ({letters:,} letters)")
    for name in (ONE, SQLITE, TEN):
        say(f"  {name:32} {rounds.spread(name)} letters/s, {rounds.ratio(name, TEN):.1f} x aiosmtplib's")


def _prepared(bench: Bench, letters: int) -> dict[str, str]:
    urls = {kind: bench.databases.new(kind) for kind in ("postgres", "sqlite")}
    for url in urls.values():
        fill(url, letters)
    return urls


def _idle_cpu(bench: Bench, kind: str) -> float:
    """Return the seconds of CPU of a scan that finds nothing: starting, connecting and ending."""
    url = bench.databases.new(kind)
    one = ours.program(bench.folder / "ours", url, 1)
    with child(ours.SCAN, bench.said, one.environment, one.folder) as process:
        return process.wait(60).cpu


@contextlib.contextmanager
def _senders(bench: Bench, one: Ours, url: str, port: int) -> Iterator[list[Child]]:
    run = ours.program(bench.folder / "ours", url, port)
    with ExitStack() as stack:
        yield [
            stack.enter_context(child(ours.SCAN, bench.said, run.environment, run.folder)) for _ in range(one.processes)
        ]


def _peer(bench: Bench, server: Sink, command: tuple[str, ...], letters: int) -> Stretch:
    with child(command, bench.said) as process:
        stretch = watch(server, [process], letters, _LONGEST)
        process.wait(30)
    _check(command[0], server, letters)
    return stretch


def _check(name: str, server: Sink, letters: int) -> None:
    if server.arrived() != letters:
        say(f"  {name}: {server.arrived():,} arrived of {letters:,}")
