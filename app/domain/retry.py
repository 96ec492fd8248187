"""From a mail server's reply to what is done about it: pure."""

from dataclasses import dataclass
from typing import Literal

Stage = Literal["connect", "mail", "rcpt", "data", "body"]
"""Which command a reply answers; `body` is the final dot."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a mail server said: basic code, enhanced code or "", text without either, and to what."""

    code: int
    enhanced: str
    text: str
    stage: Stage

    @property
    def accepted(self) -> bool:
        """Whether the server took the letter over: only the 250 after the final dot says so."""
        return self.stage == "body" and 200 <= self.code < 300
