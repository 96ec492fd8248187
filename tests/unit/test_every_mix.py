"""Whatever a server answers and wherever it breaks off: each letter learns what befell it, and no other's."""

import asyncio
from collections import Counter
from dataclasses import dataclass

from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.domain.retry import Reply, Stage
from app.mail.envelope import Dropped, Envelope, TransportError, Unanswered
from tests.sending import transport_to
from tests.smtp_script import ScriptedServer, Wire

STAGES: tuple[Stage, ...] = ("mail", "rcpt", "data", "body")
GOOD = ("250", "250", "354", "250")
BAD = (("451", "550"), ("450", "550"), ("451", "554"), ("452", "552"))


@dataclass(frozen=True)
class Fate:
    """What a server does with one letter: its codes, and where it breaks off, if it does."""

    codes: tuple[str, ...] = GOOD
    breaks: int = 4
    """Before the answer of this stage."""
    bluntly: bool = False
    """Without a word, so that even what was said before may be lost; else with 421."""

    @property
    def stage(self) -> int:
        """Where the letter's way ends."""
        refused = [at for at, code in enumerate(self.codes) if code != GOOD[at]]
        return min([*refused, self.breaks, 3])

    def outcome(self, name: str) -> Reply | type[TransportError]:
        if self.stage == self.breaks and self.bluntly:
            return Unanswered if self.breaks == 3 else Dropped
        code = "421" if self.stage == self.breaks else self.codes[self.stage]
        return Reply(int(code), "", name, STAGES[self.stage])


fates = st.builds(
    Fate,
    st.tuples(*(st.sampled_from([good, good, good, *bad]) for good, bad in zip(GOOD, BAD, strict=True))),
    st.sampled_from([0, 1, 2, 3, 4, 4, 4, 4, 4, 4]),
    st.booleans(),
)


class Server:
    """Does with each letter what its fate says, and answers in packets that are cut anywhere."""

    def __init__(self, fates: list[Fate], cuts: list[int], *, pipelining: bool) -> None:
        self.fates = fates
        self.cuts = cuts
        self.pipelining = pipelining
        self.taken: Counter[str] = Counter()

    async def __call__(self, wire: Wire) -> None:
        await wire.greet(*(["PIPELINING"] if self.pipelining else []))
        name = ""
        while (line := await wire.hear()) != "QUIT":
            verb = line.partition(" ")[0]
            if verb == "RSET":
                await self._say(wire, "250 forgotten\n")
                continue
            if verb == "MAIL":
                name, stage = line.partition("<")[2].partition("@")[0], 0
            else:
                stage = ("MAIL", "RCPT", "DATA").index(verb)
            if not await self._answer(wire, name, stage):
                return
            if verb == "DATA" and self.fates[int(name)].codes[2] == "354":
                text = await wire.hear_text()
                if text and not await self._answer(wire, name, 3):
                    return
                if not text:
                    await self._say(wire, "554 no reader\n")
        await wire.say("221 bye\n")

    async def _answer(self, wire: Wire, name: str, stage: int) -> bool:
        """Answer, or break off and return False."""
        fate = self.fates[int(name)]
        if fate.breaks == stage:
            if fate.bluntly:
                wire.drop()
            else:
                await self._say(wire, f"421 {name}\n")
            return False
        code = fate.codes[stage]
        if stage == 3 and code == "250":
            self.taken[name] += 1
        await self._say(wire, f"{code} {name}\n")
        return True

    async def _say(self, wire: Wire, said: str) -> None:
        cut = self.cuts[len(wire.heard) % len(self.cuts)]
        for piece in filter(None, (said[:cut], said[cut:])):
            await wire.say(piece)
            await asyncio.sleep(0)


async def _send_all(server: Server, connections: int) -> tuple[list[Reply | BaseException], Counter[str]]:
    recorded: Counter[str] = Counter()

    async def send(name: str) -> Reply:
        async def hand_over() -> bool:
            recorded[name] += 1
            await asyncio.sleep(0)
            return True

        return await transport.send(Envelope(f"{name}@slow.test", f"{name}@reader.test", b"hello\r\n"), hand_over)

    async with ScriptedServer(server) as listening, transport_to(listening.port, connections=connections) as transport:
        names = map(str, range(len(server.fates)))
        return await asyncio.gather(*map(send, names), return_exceptions=True), recorded


@settings(deadline=None, max_examples=40)
@given(
    fates=st.lists(fates, min_size=1, max_size=9),
    cuts=st.lists(st.integers(0, 8), min_size=1, max_size=5),
    connections=st.integers(1, 3),
    pipelining=st.booleans() | st.just(value=True),
)
@example(fates=[Fate(), Fate(breaks=0, bluntly=True)] * 3, cuts=[0], connections=1, pipelining=True)
@example(fates=[Fate(), Fate(("250", "550", "354", "250"))] * 3, cuts=[2], connections=1, pipelining=True)
def test_each_letter_learns_its_own_fate(
    fates: list[Fate], cuts: list[int], connections: int, *, pipelining: bool
) -> None:
    server = Server(fates, cuts, pipelining=pipelining)
    outcomes, recorded = asyncio.run(_send_all(server, connections))
    for name, (fate, outcome) in enumerate(zip(fates, outcomes, strict=True)):
        expected = fate.outcome(str(name))
        if isinstance(outcome, Unanswered) and expected is not Unanswered:
            # The one behind it broke off, and what was said of this one was lost on the way.
            assert fate.stage == 3
            assert any(other.bluntly and other.breaks < 3 for other in fates)
        elif isinstance(expected, Reply):
            assert outcome == expected
        else:
            assert type(outcome) is expected
        took = server.taken[str(name)]
        assert took == 1 if isinstance(outcome, Reply) and outcome.accepted else took <= isinstance(outcome, Unanswered)
        assert recorded[str(name)] <= 1
        assert recorded[str(name)] >= took
