"""How much one client may ask in a while (docs/standards.md P2): a school behind one address may, a flood may not.

Each process counts for itself; what must hold over all of them is counted in the ledger, by
`Quotas`.
"""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from app.clock import Clock
from app.errors import TooMany
from app.web.pages import mailbox_of
from app.web.problems import problem
from app.web.throttle import Allowance, client_of

_HOUR = 3600
_TEN_MINUTES = 600


class Limits:
    """What each client is allowed: letters posted, links that lead nowhere, letters changed, links asked for."""

    def __init__(self, clock: Clock) -> None:
        self.posts = Allowance(clock, 120, _HOUR)
        self.misses = Allowance(clock, 60, _TEN_MINUTES)
        self.changes = Allowance(clock, 60, _TEN_MINUTES)
        self.links = Allowance(clock, 20, _HOUR)


async def may_post(request: Request) -> None:
    """Count a letter, before it is known whether it can be taken. Raises TooMany."""
    limits = _limits(request)
    if limits:
        _take(limits.posts, request)


async def may_look(request: Request) -> None:
    """Raise TooMany for a client that tried too many links which lead nowhere; even the right one waits then."""
    limits = _limits(request)
    if limits:
        _require(limits.misses, request)


async def may_change(request: Request) -> None:
    """Count a change to a letter. Raises TooMany."""
    limits = _limits(request)
    if limits:
        _require(limits.misses, request)
        _take(limits.changes, request)


async def may_ask(request: Request) -> None:
    """Count that somebody's links are asked for. Raises TooMany."""
    limits = _limits(request)
    if limits:
        _take(limits.links, request)


def _limits(request: Request) -> Limits | None:
    limits: Limits = request.app.state.limits
    return limits if mailbox_of(request).settings.rate_limits else None


def _take(allowance: Allowance, request: Request) -> None:
    _require(allowance, request)
    allowance.count(client_of(request))


def _require(allowance: Allowance, request: Request) -> None:
    if wait := allowance.wait(client_of(request)):
        raise TooMany(wait)


async def unknown_letter(request: Request, _: Exception) -> Response:
    """Answer 404, and remember who asked."""
    limits = _limits(request)
    if limits:
        limits.misses.count(client_of(request))
    return problem(request, HTTPStatus.NOT_FOUND)


async def too_many(request: Request, error: TooMany) -> Response:
    """Answer 429 (RFC 6585 §4)."""
    answer = problem(request, HTTPStatus.TOO_MANY_REQUESTS)
    answer.headers["Retry-After"] = str(error.seconds)
    return answer
