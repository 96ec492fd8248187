"""Shares and quantiles of counts: pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from math import inf

ENOUGH = 0.95
"""The least share of letters that are expected to arrive."""
_WORD = re.compile(r"\S+")  # `\S*\d` would be quadratic in the length of a word without a digit
_DIGIT = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class Refusal:
    said: str
    times: int
    last_at: datetime


def quantile(counts: Sequence[tuple[float, int]], share: float) -> float | None:
    """Return about the value that the given share stays within; None without any.

    `counts` are the numbers per bucket, by its upper bound, ascending; within a bucket they are assumed
    to lie evenly, as in Prometheus' `histogram_quantile`. The last finite bound is the maximum.
    """
    rank, below, since = share * sum(number for _, number in counts), 0, 0.0
    for until, number in counts:
        if number and below + number >= rank:
            return since if until == inf else since + (until - since) * (rank - below) / number
        below, since = below + number, until
    return None


def share_of(good: int, bad: int) -> float | None:
    """None where there was nothing."""
    return good / (good + bad) if good + bad else None


def days_around(now: datetime, zone: tzinfo, behind: int, ahead: int) -> list[tuple[date, datetime, datetime]]:
    """Return the days around today, each with its midnights in `zone`: one may have 23 or 25 hours."""
    today = now.astimezone(zone).date()
    days = [today + timedelta(days=number) for number in range(-behind, ahead + 1)]
    return [(day, _midnight(day, zone), _midnight(day + timedelta(days=1), zone)) for day in days]


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone)


def grouped(answers: Iterable[tuple[str, datetime]], most: int) -> list[Refusal]:
    """Count replies, the most frequent first; `replies` are newest first.

    A word with a digit behind the codes is taken for a queue id or a time, and ignored.
    """
    found: dict[str, Refusal] = {}
    for said, at in answers:
        codes = re.match(r"(\d{3} )?(\d\.\d{1,3}\.\d{1,3} )?", said)
        start = codes.end() if codes else 0
        kind = said[:start] + _WORD.sub(lambda word: "…" if _DIGIT.search(word[0]) else word[0], said[start:])
        known = found.get(kind)
        found[kind] = Refusal(known.said, known.times + 1, known.last_at) if known else Refusal(said, 1, at)
    return sorted(found.values(), key=lambda refusal: -refusal.times)[:most]
