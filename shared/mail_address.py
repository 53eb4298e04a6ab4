"""Mail addresses from outside: cleaned once, in one place, so that what is kept is what is written to."""

import re
import unicodedata
from typing import Annotated, Final, NewType

import idna
from pydantic import AfterValidator, Field

from firsthand.shared.texts import normalized

# Cleaned. Only `mail_address` makes one, and nothing else can be handed to the mailer.
MailAddress = NewType("MailAddress", str)

LONGEST: Final = 254  # octets of a whole address (RFC 5321, 4.5.3.1.3)
_LONGEST_LOCAL: Final = 64
_LONGEST_TYPED: Final = 512  # an address with what a clipboard puts around it
# A dot-atom (RFC 5322, 3.2.3), with any letter beyond ASCII (RFC 6531). Quoted local parts are nobody's.
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\x80-\U0010ffff]+"
_LOCAL: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
# Shown as nothing though Unicode does not call them format characters: joiners, fillers, variation selectors.
_UNSEEN: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


class NotMailAddress(ValueError):  # noqa: N818 - reads as what is the case
    """The text is not one mail address. It is not repeated here: it may be somebody's."""


def mail_address(text: str, *, inside: bool = False) -> MailAddress:
    """Clean an address as somebody typed or pasted it. Raises NotMailAddress.

    `inside`: the domain may be a name without a dot, as some networks have it within their own walls.

    Invisible characters go, wherever they stand; the domain becomes ASCII (IDNA 2008 after UTS 46), as mail servers
    want it; the part before the @ keeps its letters.
    """
    if len(text) > _LONGEST_TYPED:
        raise NotMailAddress("too long for a mail address")
    seen = "".join(letter for letter in _UNSEEN.sub("", text) if unicodedata.category(letter) != "Cf").strip()
    local, at, domain = seen.removeprefix("mailto:").replace("\N{FULLWIDTH COMMERCIAL AT}", "@").rpartition("@")
    local = normalized("NFC", local)
    if not at or not _LOCAL.fullmatch(local) or _blank(local):
        raise NotMailAddress("not one mail address")
    domain = _ascii(domain)
    if "." not in domain and not inside:
        raise NotMailAddress("not the domain of a mail address")
    address = f"{local}@{domain}"
    if len(local.encode()) > _LONGEST_LOCAL or len(address.encode()) > LONGEST:
        raise NotMailAddress("too long for a mail address")
    return MailAddress(address)


def needs_utf8(address: MailAddress) -> bool:
    """Whether only a server that speaks SMTPUTF8 (RFC 6531) can take mail for it."""
    return not address.isascii()


def as_typed(address: str) -> str:
    """The address as people read it: the domain in its own letters."""
    local, at, domain = address.rpartition("@")
    try:
        return f"{local}{at}{idna.decode(domain)}"
    except (idna.IDNAError, UnicodeError):
        return address


def _ascii(domain: str) -> str:
    domain = domain.removesuffix(".")
    try:
        if not domain.isascii() or "xn--" in domain.lower():
            domain = idna.encode(domain, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        raise NotMailAddress("not the domain of a mail address") from None
    domain = domain.lower()
    *labels, last = domain.split(".")
    if last.isdigit() or not all(map(_LABEL.fullmatch, (*labels, last))):
        raise NotMailAddress("not the domain of a mail address")
    return domain


def _blank(local: str) -> bool:
    """Whether any of it is white space or a control character, of which Unicode has many beyond ASCII."""
    return any(unicodedata.category(letter)[0] in "ZC" for letter in local)


# The field of a request or form that is a mail address.
MailAddressField = Annotated[MailAddress, Field(max_length=_LONGEST_TYPED), AfterValidator(mail_address)]


__all__ = ["LONGEST", "MailAddress", "MailAddressField", "NotMailAddress", "as_typed", "mail_address", "needs_utf8"]
