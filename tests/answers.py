"""Answers of real mail servers and what is judged of them: the table in docs/answers.md."""

import re
from pathlib import Path
from typing import NamedTuple, cast, get_args

from app.domain.refusal import Reason
from app.domain.retry import Reply, Stage
from app.mail.smtp.replies import parse_reply

PAGE = Path(__file__).parents[1] / "docs" / "answers.md"
_ROW = re.compile(r"\| (.+?) \| (\w+) \| `(\d{3}[ -].*)` \| (.+?) \| (.+) \|")
_WORDS = {
    "reader: no such address": Reason.NO_SUCH_ADDRESS,
    "reader: closed": Reason.MAILBOX_CLOSED,
    "reader: full, for now": Reason.MAILBOX_FULL,
    "message: too large": Reason.TOO_LARGE,
    "message: their rules": Reason.POLICY,
    "message": Reason.MESSAGE,
    "**us**": Reason.OURS,
    "for now": Reason.DEFERRED,
}


class Answer(NamedTuple):
    """What a provider says at a stage (`\\n` parts the lines of one reply), what is judged of it, and its source."""

    provider: str
    stage: Stage
    said: str
    reason: Reason
    source: str

    @property
    def reply(self) -> Reply:
        return parse_reply((int(self.said[:3]), self.said[4:].replace("\\n", "\n").encode()), self.stage)


def _answers() -> list[Answer]:
    rows = PAGE.read_text().split("| --- | --- | --- | --- | --- |\n")[1].splitlines()
    found = []
    for row in rows:
        cells = _ROW.fullmatch(row)
        assert cells, row
        provider, stage, said, words, source = cells.groups()
        assert stage in get_args(Stage), row
        found.append(Answer(provider, cast("Stage", stage), said, _WORDS[words], source))
    return found


ANSWERS = _answers()
