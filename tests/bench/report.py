"""Figures of several rounds: medians, how far they lie apart, and what they are of one another."""

import time
from collections import defaultdict
from statistics import median


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - this is what the benchmark is for


class Bound:
    """The time that there is; what does not fit is left out, and said."""

    def __init__(self, minutes: float) -> None:
        self._end = time.monotonic() + minutes * 60

    @property
    def left(self) -> float:
        """Seconds until the end."""
        return self._end - time.monotonic()

    def allows(self, seconds: float, what: str) -> bool:
        """Whether there is time for this; says what is left out where there is not."""
        if self.left >= seconds:
            return True
        say(f"left out for want of time: {what}")
        return False


class Rounds:
    """Measurements by name, one a round."""

    def __init__(self) -> None:
        self._kept: dict[str, list[float]] = defaultdict(list)

    def add(self, name: str, value: float) -> None:
        self._kept[name].append(value)

    def median(self, name: str) -> float:
        return median(self._kept[name])

    def ratio(self, name: str, other: str) -> float:
        """Return the median of the rounds' own ratios: what slows a whole round down cancels out."""
        pairs = zip(self._kept[name], self._kept[other], strict=False)
        return median(one / of for one, of in pairs if of)

    def spread(self, name: str) -> str:
        """Return the median with the lowest and the highest."""
        values = self._kept[name]
        return f"{median(values):10,.1f}  ({min(values):,.1f} to {max(values):,.1f})"

    def __contains__(self, name: str) -> bool:
        return name in self._kept


def quantile(values: list[float], share: float) -> float:
    """Return the value that `share` of all do not exceed."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]
