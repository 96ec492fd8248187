"""Setting the event loop's clock forward, so that hours of waiting pass at once."""

import asyncio

import pytest


class Hours:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._ahead = 0.0
        loop = asyncio.get_running_loop()
        time = loop.time
        monkeypatch.setattr(loop, "time", lambda: time() + self._ahead)

    def pass_by(self, seconds: float) -> None:
        self._ahead += seconds
