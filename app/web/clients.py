"""What counts as one client (docs/standards.md P2)."""

import ipaddress

from starlette.requests import Request


def client_of(request: Request) -> str:
    """Return the client's network; behind trusted proxies that of the forwarded address."""
    return network(request.client.host if request.client else "")


def network(host: str) -> str:
    """Return an IPv4 address, or the /64 of an IPv6 address."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 6 and not address.ipv4_mapped:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def networks_of(request: Request) -> list[str]:
    """Return the client's network; of IPv6 also the /56 and the /48 around it."""
    own = client_of(request)
    if not own.endswith("/64"):
        return [own]
    wider = ipaddress.IPv6Network(own)
    return [own, *(str(wider.supernet(new_prefix=bits)) for bits in (56, 48))]
