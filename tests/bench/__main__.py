"""Measures Slow Mailbox beside what others would write: `make bench`, or a part of it.

make bench ARGS="fast delayed --letters 20000 --rounds 3"
"""

import argparse
import signal
import tempfile
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

from tests.bench import admin, kills, memory, ours, posting, reading, scanning, sending
from tests.bench.bench import Bench, Sizes
from tests.bench.databases import databases
from tests.bench.report import Bound, say
from tests.bench.sink import require_postfix

PARTS: dict[str, Callable[[Bench], None]] = {
    "fast": sending.fast,
    "delayed": sending.delayed,
    "posting": posting.posting,
    "reading": reading.reading,
    "killing": kills.killing,
    "growing": memory.growing,
    "scanning": scanning.scanning,
    "desking": admin.desking,
}


def main() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that `timeout` ends its servers with it
    chosen = _arguments()
    require_postfix()
    bound = Bound(chosen.minutes)
    with tempfile.TemporaryDirectory(prefix="slow-mailbox-bench-") as name:
        folder = Path(name)
        with databases(folder) as made:
            bench = Bench(folder, made, ours.message(made, folder), _sizes(chosen), bound)
            say(f"{ours.processors()} processors; one message is {bench.message.stat().st_size:,} bytes")
            for part in chosen.parts or PARTS:
                if bound.allows(30, part):
                    PARTS[part](bench)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--minutes", type=float, default=40, help="what does not fit is left out [40]")
    for field in fields(Sizes):
        if field.type is int:
            parser.add_argument(f"--{field.name}", type=int, help=f"[{field.default}]")
    parser.add_argument("--schedule", type=_numbers, help="stored deliveries of the empty scans, as in 10000,1000000")
    return parser.parse_args()


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


def _sizes(chosen: argparse.Namespace) -> Sizes:
    names = {field.name for field in fields(Sizes)}
    return replace(Sizes(), **{name: value for name, value in vars(chosen).items() if name in names and value})


if __name__ == "__main__":
    main()
