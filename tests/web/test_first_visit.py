"""What is read before the first visitor comes."""

import gc

import pytest
from fastapi import FastAPI

from app.settings import Settings
from app.templating import LANGUAGES
from app.web.arrival_choices import zone_options
from app.web.lifespan import lifespan_of, warm_up
from tests.clock import FrozenClock

pytestmark = pytest.mark.anyio


async def test_it_waits_for_no_places_and_no_collector(settings: Settings, clock: FrozenClock) -> None:
    zone_options.cache_clear()
    warm_up.cache_clear()
    gc.unfreeze()
    async with lifespan_of(settings, clock)(FastAPI()):
        assert zone_options.cache_info().currsize == len(LANGUAGES)
        assert gc.get_freeze_count() > 100_000
    gc.unfreeze()  # or nothing of the tests before this one would ever be collected
