"""Which addresses a webhook may be sent to: public ones, whatever form they hide in.

Checked at dial time on the very address that is dialled, so a name that resolves to something else a moment later
changes nothing. Sources: IANA special-purpose address registries; RFC 4291 (mapped), 3056 (6to4), 6052 and 8215 (NAT64),
4380 (Teredo), 5214 (ISATAP).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_SIXTOFOUR_RELAY = IPv4Network("192.88.99.0/24")
_COMPATIBLE = IPv6Network("::/96")
_TRANSLATED = IPv6Network("::ffff:0:0:0/96")
_SITE_LOCAL = IPv6Network("fec0::/10")
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_ISATAP = (0x00005EFE, 0x02005EFE)


def is_public(address: str) -> bool:
    """Whether an IP address, as a resolver gave it, belongs to the public internet."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, IPv4Address):
        return _public_v4(parsed)
    hidden = _inside(parsed)
    if hidden is not None:
        return _public_v4(hidden)
    return parsed.is_global and not parsed.is_multicast and parsed in _GLOBAL_UNICAST and parsed not in _SITE_LOCAL


def _public_v4(address: IPv4Address) -> bool:
    return address.is_global and not (address.is_multicast or address.is_reserved or address in _SIXTOFOUR_RELAY)


def _inside(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that traffic to this one ends at, if it carries one."""
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    if address.teredo:
        return address.teredo[1]
    last = IPv4Address(int(address) & 0xFFFF_FFFF)
    embedded = any(address in network for network in (*_NAT64, _COMPATIBLE, _TRANSLATED))
    isatap = (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP
    return last if embedded or isatap else None
