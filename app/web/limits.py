"""Request limits per client (docs/standards.md P2), counted by each process. Limits over all processes are `Quotas`."""

from collections import deque
from datetime import timedelta
from http import HTTPStatus
from math import ceil

from babel.dates import format_timedelta
from babel.numbers import format_decimal
from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.requests import Request
from starlette.responses import Response

from app.clock import Clock
from app.errors import Limit, LimitExceeded
from app.store.quotas import NETWORK_FACTOR
from app.templating import translations
from app.web.clients import networks_of
from app.web.error_pages import error_response
from app.web.forms import N_
from app.web.language import language_of
from app.web.pages import services_of
from app.web.security import is_one_click

MOST_KEPT = 5_000
"""Clients whose requests are remembered, for each kind; 360 letters an hour from each are 60 MB."""
_TITLE = N_("Too many requests right now")
_WORDS = {
    Limit.REQUESTS: N_("Too many requests came from your internet connection."),
    Limit.POSTS: N_(
        "We accept %(most)s letters an hour from one internet connection, and yours has reached that limit."
    ),
    Limit.WRITER: N_(
        "We accept %(most)s letters a day with the same writer’s address from one internet connection. "
        "Without that address, or with another one, the letter is accepted."
    ),
    Limit.READER: N_("We accept %(most)s letters a day to the same address from one internet connection."),
    Limit.DOMAIN_SHARE: N_(
        "Many letters go to this mail provider today, so we accept only %(most)s a day from one internet connection, "
        "and yours has reached that limit. Letters to other providers are accepted."
    ),
    Limit.DOMAIN_ALL: N_(
        "We accept %(most)s letters a day for one mail provider, and this one has reached that limit. "
        "Letters to other providers are accepted."
    ),
    Limit.DAY_SHARE: N_(
        "Many letters have come today, so we accept only %(most)s a day from one internet connection, "
        "and yours has reached that limit."
    ),
    Limit.DAY_ALL: N_("We accept %(most)s letters a day in all, and that limit is reached."),
    Limit.CORRECTIONS: N_("The address of a letter can be changed %(most)s times a day."),
}
_AGAIN = N_("Please try again in %(wait)s.")


class Windows(MemoryStorage):
    """Moving windows on the monotonic clock, with a maximum number of clients: the idle ones go first.

    The library's storage uses the wall clock, keeps every client, and starts a thread to expire them.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self.times: dict[str, deque[float]] = {}

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        _, number = self.get_moving_window(key, limit, expiry)
        if number + amount > limit:
            return False
        times = self.times.pop(key, None) or deque()
        times.extend([self._clock.monotonic()] * amount)
        self.times[key] = times
        if len(self.times) > MOST_KEPT:
            del self.times[next(iter(self.times))]
        return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:  # noqa: ARG002 - the library's
        now, times = self._clock.monotonic(), self.times.get(key, deque())
        while times and times[0] <= now - expiry:
            times.popleft()
        return (times[0] if times else now), len(times)


class Allowance:
    """A number of requests in a period from one client, and more from the wider networks around it."""

    def __init__(self, clock: Clock, limit: Limit, item: type[RateLimitItem], most: int, multiples: int = 1) -> None:
        self._clock = clock
        self._limiter = MovingWindowRateLimiter(Windows(clock))
        self._limit = limit
        self._most = most
        self._items = [item(most * NETWORK_FACTOR**step, multiples) for step in range(3)]

    def require(self, networks: list[str]) -> None:
        """Raise LimitExceeded where the next request has to wait; counts nothing."""
        for item, network in zip(self._items, networks, strict=False):
            if not self._limiter.test(item, network):
                room_at = self._limiter.get_window_stats(item, network).reset_time
                raise LimitExceeded(max(1, ceil(room_at - self._clock.monotonic())), self._limit, item.amount)

    def count(self, networks: list[str]) -> None:
        for item, network in zip(self._items, networks, strict=False):
            self._limiter.hit(item, network)


class Limits:
    def __init__(self, clock: Clock, posts_per_hour: int) -> None:
        self.posts = Allowance(clock, Limit.POSTS, RateLimitItemPerHour, posts_per_hour)
        self.misses = Allowance(clock, Limit.REQUESTS, RateLimitItemPerMinute, 60, 10)
        self.one_click_misses = Allowance(clock, Limit.REQUESTS, RateLimitItemPerMinute, 60, 10)
        self.previews = Allowance(clock, Limit.REQUESTS, RateLimitItemPerMinute, 360, 10)
        self.changes = Allowance(clock, Limit.REQUESTS, RateLimitItemPerMinute, 60, 10)
        self.links = Allowance(clock, Limit.REQUESTS, RateLimitItemPerHour, 20)


async def limit_posts(request: Request) -> None:
    """Count a post before it is validated. Raises LimitExceeded."""
    limits = _limits(request)
    if limits:
        _take(limits.posts, request)


async def limit_misses(request: Request) -> None:
    """Raise LimitExceeded after too many links that do not exist; then even a right one has to wait."""
    limits = _limits(request)
    if limits:
        limits.misses.require(networks_of(request))


async def may_unsubscribe(request: Request) -> None:
    """Raise LimitExceeded after too many posts to unsubscribe links that do not exist.

    Counted apart from other misses: mail providers post for many readers from one address (RFC 8058).
    """
    limits = _limits(request)
    if limits:
        limits.one_click_misses.require(networks_of(request))


async def limit_changes(request: Request) -> None:
    """Raises LimitExceeded."""
    limits = _limits(request)
    if limits:
        limits.misses.require(networks_of(request))
        _take(limits.changes, request)


async def limit_previews(request: Request) -> None:
    """Previews cost processor time. Raises LimitExceeded."""
    limits = _limits(request)
    if limits:
        _take(limits.previews, request)


async def limit_link_requests(request: Request) -> None:
    """Raises LimitExceeded."""
    limits = _limits(request)
    if limits:
        _take(limits.links, request)


def _limits(request: Request) -> Limits | None:
    limits: Limits = request.app.state.limits
    return limits if services_of(request).settings.rate_limits else None


def _take(allowance: Allowance, request: Request) -> None:
    networks = networks_of(request)
    allowance.require(networks)
    allowance.count(networks)


async def unknown_letter(request: Request, _: Exception) -> Response:
    """Answer 404 and count a miss."""
    limits = _limits(request)
    if limits:
        misses = limits.one_click_misses if is_one_click(request) else limits.misses
        misses.count(networks_of(request))
    return error_response(request, HTTPStatus.NOT_FOUND)


def words_of(error: LimitExceeded, language: str) -> str:
    """Return which limit was met, what helps, and when to try again."""
    gettext = translations(language).gettext
    unit = 3600 if error.seconds > 5400 else 60 if error.seconds > 90 else 1
    whole = timedelta(seconds=ceil(error.seconds / unit) * unit)
    wait = format_timedelta(whole, locale=language, threshold=1.5)
    said = gettext(_WORDS[error.limit]) % {"most": format_decimal(error.most, locale=language)}
    return f"{said} {gettext(_AGAIN) % {'wait': wait}}"


async def too_many(request: Request, error: LimitExceeded) -> Response:
    """RFC 6585 §4."""
    answer = error_response(
        request, HTTPStatus.TOO_MANY_REQUESTS, words=(_TITLE, words_of(error, language_of(request)))
    )
    answer.headers["Retry-After"] = str(error.seconds)
    return answer
