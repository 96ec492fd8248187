"""The sums behind the pictures on the desk: where each bar stands, how dark each day is. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

HEIGHT = 100.0
"""Of a plot, in its own units; so is a day's width 10."""
_STEP, _WIDTH = 10.0, 7.0
_LEAST = 1.5  # what is not nothing is seen
_SHADES = 5


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle of a plot, from its upper left corner."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Cell:
    """A day of the calendar; `shade` is from 0, nothing, to 5, as much as on any day."""

    day: date
    number: int
    shade: int


def ceiling(largest: int) -> int:
    """Return the next number that people count by: 1, 2 or 5 with noughts behind."""
    power = 10 ** (len(str(max(largest, 1))) - 1)
    return next(int(step * power) for step in (1, 2, 5, 10) if step * power >= largest)


def stacked(lower: Sequence[int], upper: Sequence[int]) -> tuple[list[Bar], list[Bar], int]:
    """Return bars for pairs of numbers, one upon the other, and what the whole height stands for."""
    top = ceiling(max((low + high for low, high in zip(lower, upper, strict=True)), default=0))
    below = [_bar(number, 0.0, low, top) for number, low in enumerate(lower)]
    above = [_bar(number, HEIGHT - below[number].y, high, top) for number, high in enumerate(upper)]
    return below, above, top


def _bar(number: int, base: float, value: int, top: int) -> Bar:
    height = max(_LEAST, HEIGHT * value / top) if value else 0.0
    return Bar(
        x=number * _STEP + (_STEP - _WIDTH) / 2,
        y=round(max(0.0, HEIGHT - base - height), 2),
        width=_WIDTH,
        height=round(height, 2),
    )


def calendar(days: Sequence[tuple[date, int]]) -> list[list[Cell | None]]:
    """Return weeks from Monday to Sunday; None is a day before the first or behind the last."""
    largest = max((number for _, number in days), default=0)
    cells = [Cell(day, number, _shade(number, largest)) for day, number in days]
    if not cells:
        return []
    before, behind = cells[0].day.weekday(), 6 - cells[-1].day.weekday()
    places = [*(None for _ in range(before)), *cells, *(None for _ in range(behind))]
    return [places[begin : begin + 7] for begin in range(0, len(places), 7)]


def _shade(number: int, largest: int) -> int:
    return -(-number * _SHADES // largest) if number else 0
