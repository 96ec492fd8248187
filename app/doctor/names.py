"""What other mail servers learn about the sender from DNS."""

from collections.abc import AsyncIterator

import dns.asyncresolver
import dns.exception
import dns.resolver

from app.doctor.findings import Finding, ok, problem, warning


async def check_names(domain: str) -> AsyncIterator[Finding]:
    """Look up MX, SPF (RFC 7208) and DMARC (RFC 7489) of the sender's domain."""
    try:
        yield await _check_mx(domain)
        yield await _check_spf(domain)
        yield await _check_dmarc(domain)
    except (dns.exception.DNSException, OSError) as error:
        yield warning("DNS", f"no name server answered, so the records of {domain} are unknown: {error}")


async def _check_mx(domain: str) -> Finding:
    if await _records(domain, "MX"):
        return ok("DNS: MX", f"{domain} takes mail")
    return warning("DNS: MX", f"{domain} has no MX record, so refusals reach nobody; add one")


async def _check_spf(domain: str) -> Finding:
    found = await _texts(domain, "v=spf1")
    if not found:
        return warning("DNS: SPF", f"{domain} has none; add a TXT record such as: v=spf1 a:mail.{domain} -all")
    if len(found) > 1:  # RFC 7208 §4.5
        return problem("DNS: SPF", f"{domain} has {len(found)} of them, which counts as an error; keep one")
    return ok("DNS: SPF", found[0])


async def _check_dmarc(domain: str) -> Finding:
    """Look at the domain and those above it, whose record holds for it too."""
    labels = domain.split(".")
    for start in range(max(1, len(labels) - 1)):
        found = await _texts(".".join(("_dmarc", *labels[start:])), "v=DMARC1")
        if found:
            return ok("DNS: DMARC", found[0])
    return warning("DNS: DMARC", f"{domain} has none; add a TXT record at _dmarc.{domain}: v=DMARC1; p=quarantine")


async def _texts(name: str, beginning: str) -> list[str]:
    texts = [record.replace('" "', "").strip('"') for record in await _records(name, "TXT")]
    return [text for text in texts if text.casefold().startswith(beginning.casefold())]


async def _records(name: str, kind: str) -> list[str]:
    """Return a name's records as text. Raises DNSException where nobody answers."""
    try:
        return [record.to_text() for record in await dns.asyncresolver.resolve(name, kind)]
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
