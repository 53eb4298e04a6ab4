"""What keeps webhooks out of our own network: which addresses may be sent to, by their text and once they are resolved.

`ssrfguard` knows the networks and the odd ways to write an address: that needs more care than a table of our own would
get. Here is what we allow, and in words why not. A socket is made only for the very address that was checked.
"""

import contextlib
import socket
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from ssrfguard import Policy
from ssrfguard.errors import BlockedURLError

from firsthand.shared.texts import N_

Network = IPv4Network | IPv6Network

_LOOPBACK: Final = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
_REMEMBERED: Final = 1000
_TLS_PORTS: Final = frozenset({443, 8443})
_LOCAL_NAMES: Final = ("localhost", "127.", "[::1]")

_MALFORMED: Final = N_("Enter a web address, for example https://example.org/webhooks.")
_INSECURE: Final = N_("The address must start with https://.")
_OWN_NETWORK: Final = N_(
    "This address belongs to a private network. Use a public address, or ask the operator to allow this network."
)
_PORT: Final = N_("Use port 443 or 8443, or ask the operator to allow another port.")
_NAME: Final = N_("Leave the user name and password out of the address. You can add a header instead.")


class RefusedAddress(Exception):  # noqa: N818 - says what is the case
    """Nothing is sent there. `text` says why, in English, marked for the catalogues."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class ForbiddenAddress(OSError):  # noqa: N818 - says what is the case
    """A name led to an address to which nothing is sent."""


class Guard:
    """Which addresses this deployment sends webhooks to."""

    def __init__(
        self, allowed: tuple[Network, ...] = (), *, ports: frozenset[int] = frozenset(), loopback: bool
    ) -> None:
        """`allowed`: private networks that the operator lets be sent to. `loopback`: the deployment itself is only on
        this machine, where receivers may be too, without TLS.
        """
        self._loopback = loopback
        self._passed: set[str] = set()  # looking takes as long as half a request
        self._policy = Policy(
            allowed_schemes=frozenset({"http", "https"} if loopback else {"https"}),
            allowed_ports=frozenset(range(1, 65536)) if loopback else _TLS_PORTS | ports,
            allowed_networks=(*allowed, *(_LOOPBACK if loopback else ())),
        )

    def refuse(self, url: str) -> None:
        """Look at an address by its text alone. Raises RefusedAddress."""
        if url in self._passed:
            return
        self._look_at(url)
        if len(self._passed) >= _REMEMBERED:
            self._passed.clear()
        self._passed.add(url)

    def _look_at(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            if parts.username is not None or parts.password is not None:
                raise RefusedAddress(_NAME)
            if parts.scheme == "http" and not (self._loopback and parts.netloc.lower().startswith(_LOCAL_NAMES)):
                raise RefusedAddress(_INSECURE)
            if parts.scheme not in {"http", "https"} or not parts.hostname or parts.fragment or " " in url:
                raise RefusedAddress(_MALFORMED)
            self._policy.check_url(url)
        except (BlockedURLError, ValueError) as error:
            raise RefusedAddress(self._why(url, error)) from None

    def _why(self, url: str, error: Exception) -> str:
        """Say in words why `ssrfguard` refused an address."""
        if "allowed_ports" in str(error):
            return _PORT
        with contextlib.suppress(ValueError):
            if not self._policy.permits_address(ip_address(urlsplit(url).hostname or "")):
                return _OWN_NETWORK
        return _MALFORMED

    def socket(self, resolved: tuple[int, int, int, str, tuple[str | int, ...]]) -> socket.socket:
        """Make the socket for an address as `getaddrinfo` gave it. Raises ForbiddenAddress."""
        family, kind, protocol, _, address = resolved
        if not self._policy.permits_address(ip_address(str(address[0]).partition("%")[0])):
            raise ForbiddenAddress
        return socket.socket(family, kind, protocol)


__all__ = ["ForbiddenAddress", "Guard", "RefusedAddress"]
