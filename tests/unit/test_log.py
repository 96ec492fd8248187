"""Fields for a batch of deliveries, and a log that cannot be written."""

import fcntl
import os
from pathlib import Path

import pytest

from app.log import MOST_LISTED, LogStream, batch_fields


def test_the_ids_are_listed_up_to_a_number_and_all_are_counted() -> None:
    assert batch_fields([3, 1]) == {"number": 2, "deliveries": [3, 1]}
    many = batch_fields({*range(MOST_LISTED + 1)})
    assert (many["number"], len(many["deliveries"])) == (MOST_LISTED + 1, MOST_LISTED)


def test_lost_lines_are_counted_and_raise_nothing() -> None:
    reading, writing = os.pipe()
    stream, before = LogStream(writing), LogStream.failures
    stream.write("one\n")
    assert (os.read(reading, 100), LogStream.failures) == (b"one\n", before)
    os.close(reading)
    stream.write("two\n")
    os.close(writing)
    stream.write("three\n")
    assert LogStream.failures == before + 2


def test_a_full_disk_raises_nothing() -> None:
    before = LogStream.failures
    descriptor = os.open("/dev/full", os.O_WRONLY)
    LogStream(descriptor).write("one\n")
    os.close(descriptor)
    assert LogStream.failures == before + 1


@pytest.mark.timeout(30)
def test_a_reader_that_never_reads_loses_only_the_lines_that_do_not_fit() -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 8192)
    stream, before = LogStream(writing), LogStream.failures
    for _ in range(1000):
        stream.write("x" * 99 + "\n")
    lost = LogStream.failures - before
    assert len(os.read(reading, 1 << 20)) == (1000 - lost) * 100
    stream.write("again\n")
    assert os.read(reading, 100) == b"again\n"
    for descriptor in (reading, writing):
        os.close(descriptor)


def test_a_long_line_and_lone_surrogates_arrive(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        LogStream(file.fileno()).write("\ud800" + "편지" * 5000 + "\n")
    assert path.read_text() == "\\ud800" + "편지" * 5000 + "\n"
