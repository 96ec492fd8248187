"""A name server on loopback."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

import dns.asyncresolver
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

Records = Mapping[tuple[str, str], list[str]]
"""From a name and a type to values as in a zone file."""


class _Answering(asyncio.DatagramProtocol):
    def __init__(self, records: Records) -> None:
        self._records = records

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, packet: bytes, address: tuple[str, int]) -> None:
        query = dns.message.from_wire(packet)
        (question,) = query.question
        name, kind = question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype)
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if (name, kind) in self._records:
            answer.answer.append(dns.rrset.from_text_list(question.name, 60, "IN", kind, self._records[name, kind]))
        elif name not in (known for known, _ in self._records):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self._transport.sendto(answer.to_wire(), address)


@asynccontextmanager
async def name_server(records: Records) -> AsyncIterator[dns.asyncresolver.Resolver]:
    """Serve the records, and yield a resolver that uses this server alone."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Answering(records), local_addr=("127.0.0.1", 0))
    try:
        yield loopback_resolver(transport.get_extra_info("sockname")[1])
    finally:
        transport.close()


def loopback_resolver(port: int, timeout: float = 10) -> dns.asyncresolver.Resolver:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port, resolver.lifetime = ["127.0.0.1"], port, timeout
    return resolver
