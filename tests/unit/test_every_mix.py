"""Whatever a server replies and wherever it ends the connection: each letter gets its own outcome, and no other's."""

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
class Behaviour:
    """A server's reply codes to one letter, and where it ends the connection, if it does."""

    codes: tuple[str, ...] = GOOD
    ends_before: int = 4  # the reply of this stage
    dropped: bool = False  # without a reply, so that even earlier ones may be lost; else with 421

    @property
    def stage(self) -> int:
        """The index of the last stage."""
        refused = [at for at, code in enumerate(self.codes) if code != GOOD[at]]
        return min([*refused, self.ends_before, 3])

    def outcome(self, name: str) -> Reply | type[TransportError]:
        if self.stage == self.ends_before and self.dropped:
            return Unanswered if self.ends_before == 3 else Dropped
        code = "421" if self.stage == self.ends_before else self.codes[self.stage]
        return Reply(int(code), "", name, STAGES[self.stage])


behaviours = st.builds(
    Behaviour,
    st.tuples(*(st.sampled_from([good, good, good, *bad]) for good, bad in zip(GOOD, BAD, strict=True))),
    st.sampled_from([0, 1, 2, 3, 4, 4, 4, 4, 4, 4]),
    st.booleans(),
)


class Server:
    """Replies in packets that are cut anywhere."""

    def __init__(self, behaviours: list[Behaviour], cuts: list[int], *, pipelining: bool) -> None:
        self.behaviours = behaviours
        self.cuts = cuts
        self.pipelining = pipelining
        self.taken: Counter[str] = Counter()

    async def __call__(self, wire: Wire) -> None:
        await wire.greet(*(["PIPELINING"] if self.pipelining else []))
        name = ""
        while (line := await wire.read_line()) != "QUIT":
            verb = line.partition(" ")[0]
            if verb == "RSET":
                await self._write(wire, "250 forgotten\n")
                continue
            if verb == "MAIL":
                name, stage = line.partition("<")[2].partition("@")[0], 0
            else:
                stage = ("MAIL", "RCPT", "DATA").index(verb)
            if not await self._answer(wire, name, stage):
                return
            if verb == "DATA" and self.behaviours[int(name)].codes[2] == "354":
                body = await wire.read_text()
                if body and not await self._answer(wire, name, 3):
                    return
                if not body:
                    await self._write(wire, "554 no reader\n")
        await wire.write("221 bye\n")

    async def _answer(self, wire: Wire, name: str, stage: int) -> bool:
        """Reply, or end the connection and return False."""
        behaviour = self.behaviours[int(name)]
        if behaviour.ends_before == stage:
            if behaviour.dropped:
                wire.drop()
            else:
                await self._write(wire, f"421 {name}\n")
            return False
        code = behaviour.codes[stage]
        if stage == 3 and code == "250":
            self.taken[name] += 1
        await self._write(wire, f"{code} {name}\n")
        return True

    async def _write(self, wire: Wire, text: str) -> None:
        cut = self.cuts[len(wire.lines) % len(self.cuts)]
        for piece in filter(None, (text[:cut], text[cut:])):
            await wire.write(piece)
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
        names = map(str, range(len(server.behaviours)))
        return await asyncio.gather(*map(send, names), return_exceptions=True), recorded


@settings(deadline=None, max_examples=40)
@given(
    behaviours=st.lists(behaviours, min_size=1, max_size=9),
    cuts=st.lists(st.integers(0, 8), min_size=1, max_size=5),
    connections=st.integers(1, 3),
    pipelining=st.booleans() | st.just(value=True),
)
@example(behaviours=[Behaviour(), Behaviour(ends_before=0, dropped=True)] * 3, cuts=[0], connections=1, pipelining=True)
@example(
    behaviours=[Behaviour(), Behaviour(("250", "550", "354", "250"))] * 3, cuts=[2], connections=1, pipelining=True
)
def test_each_letter_gets_its_own_outcome(
    behaviours: list[Behaviour], cuts: list[int], connections: int, *, pipelining: bool
) -> None:
    server = Server(behaviours, cuts, pipelining=pipelining)
    outcomes, recorded = asyncio.run(_send_all(server, connections))
    for name, (behaviour, outcome) in enumerate(zip(behaviours, outcomes, strict=True)):
        expected = behaviour.outcome(str(name))
        if isinstance(outcome, Unanswered) and expected is not Unanswered:
            # The connection ended at the next one, and the reply to this one was lost.
            assert behaviour.stage == 3
            assert any(other.dropped and other.ends_before < 3 for other in behaviours)
        elif isinstance(expected, Reply):
            assert outcome == expected
        else:
            assert type(outcome) is expected
        count = server.taken[str(name)]
        assert (
            count == 1 if isinstance(outcome, Reply) and outcome.accepted else count <= isinstance(outcome, Unanswered)
        )
        assert recorded[str(name)] <= 1
        assert recorded[str(name)] >= count
