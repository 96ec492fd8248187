"""What other mail servers find about the sender in DNS."""

from collections.abc import AsyncIterator

import dns.asyncresolver
import dns.exception
import dns.resolver
import dns.reversename

from app.doctor.findings import Finding, ok, problem, warning


async def check_names(domain: str, dkim_selector: str, mail_host: str) -> AsyncIterator[Finding]:
    """Look up MX, SPF (RFC 7208), DKIM (RFC 6376) and DMARC (RFC 7489) of the sender's domain, and the server's name.

    Without a selector the DKIM key cannot be found; `mail_host` is empty where the server is this machine.
    """
    try:
        yield await _check_mx(domain)
        yield await _check_spf(domain)
        yield await _check_dmarc(domain)
        yield await _check_dkim(domain, dkim_selector)
        if mail_host:
            yield await _check_reverse(mail_host)
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
    """A parent domain's record holds as well."""
    labels = domain.split(".")
    for start in range(max(1, len(labels) - 1)):
        found = await _texts(".".join(("_dmarc", *labels[start:])), "v=DMARC1")
        if found:
            return ok("DNS: DMARC", found[0])
    return warning("DNS: DMARC", f"{domain} has none; add a TXT record at _dmarc.{domain}: v=DMARC1; p=quarantine")


async def _check_dkim(domain: str, selector: str) -> Finding:
    if not selector:
        return warning(
            "DNS: DKIM", "its key is not known; name the selector your mail server signs by: --dkim-selector"
        )
    name = f"{selector}._domainkey.{domain}"
    found = [text for text in await _texts(name, "") if "p=" in text]
    if not found:
        return problem("DNS: DKIM", f"there is no key at {name}; add the TXT record that your mail server names")
    if any(part.strip() == "p=" for part in found[0].split(";")):  # RFC 6376 §3.6.1
        return problem("DNS: DKIM", f"the key at {name} is revoked; sign by another selector")
    return ok("DNS: DKIM", f"{name} holds a key")


async def _check_reverse(host: str) -> Finding:
    """Whether the address of a name resolves back to a name with that address; many receivers insist on it."""
    subject = "DNS: PTR"
    addresses = [*await _records(host, "A"), *await _records(host, "AAAA")]
    if not addresses:
        return problem(subject, f"{host} has no address; mend the host in MAILBOX_SMTP_URL")
    for address in addresses:
        names = await _records(dns.reversename.from_address(address).to_text(), "PTR")
        back = [found for name in names for kind in ("A", "AAAA") for found in await _records(name, kind)]
        if address not in back:
            return warning(
                subject, f"{address} of {host} leads back to no name of its own; have its provider set the PTR record"
            )
    return ok(subject, f"{host} and its addresses lead to one another")


async def _texts(name: str, beginning: str) -> list[str]:
    texts = [record.replace('" "', "").strip('"') for record in await _records(name, "TXT")]
    return [text for text in texts if text.casefold().startswith(beginning.casefold())]


async def _records(name: str, kind: str) -> list[str]:
    """Return a name's records as text. Raises DNSException."""
    try:
        return [record.to_text() for record in await dns.asyncresolver.resolve(name, kind)]
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
