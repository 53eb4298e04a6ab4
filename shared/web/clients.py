"""The client of a request, as limits count it."""

from ipaddress import IPv6Address, ip_address, ip_network

from fastapi import Request

_OF_ONE_SUBSCRIBER = 64  # bits of an IPv6 address; whoever has one of them has all


def client_of(request: Request) -> str:
    """Give the client's address; of IPv6 its network. Empty if it is not known."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return host
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ip_network((address, _OF_ONE_SUBSCRIBER), strict=False))


__all__ = ["client_of"]
