"""What FastAPI gives to a page."""

from collections.abc import Iterator
from inspect import iscoroutinefunction
from typing import Any

from app.settings import Settings
from app.web.app import create_app


def test_no_page_waits_for_a_thread() -> None:
    """FastAPI runs a plain function in a thread, which costs more than most of what we ask for.

    The outbox reads files, and does well to.
    """
    calls = {call for route in _routes(create_app(Settings()).routes) for call in _calls(route.dependant)}
    assert len(calls) > 10
    threads = {call.__module__ for call in calls if not iscoroutinefunction(call)}
    assert threads == {"app.web.outbox"}


def _routes(routes: list[Any]) -> Iterator[Any]:
    """Yield the routes of a list and of the routers in it."""
    for route in routes:
        if hasattr(route, "original_router"):
            yield from _routes(route.original_router.routes)
        elif hasattr(route, "dependant"):
            yield route


def _calls(dependant: Any) -> Iterator[Any]:
    yield dependant.call
    for inner in dependant.dependencies:
        yield from _calls(inner)
