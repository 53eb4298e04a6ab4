"""The note that goes with a copy that a viewer may keep: for what it was shared, by whom, and to whom it was given.

An XMP packet (ISO 16684-1) in the `uuid` box that its specification gives it in MP4 (part 3, 2.2.2), behind everything
else: what was released stays in front of it, byte for byte.
"""

import struct
from collections.abc import Iterable
from datetime import date
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from firsthand.services.archive.http.pages import pages
from firsthand.services.archive.model import Recording, Viewer
from firsthand.shared.texts import N_
from firsthand.shared.web.languages import NAMES

_XMP: Final = bytes.fromhex("BE7ACFCB97A942E89C71999491E3AFAC")
_TERMS: Final = N_(
    "A family shared this recording with %(institution)s for learning. Do not give it to anyone and do not publish it. "
    "The family can withdraw it at any time: delete it when you are asked to."
)


def note_of(recording: Recording, viewer: Viewer, institution: str, day: date) -> bytes:
    """The box to append to the copy that this viewer takes away on this day."""
    media = recording.media
    assert media
    terms = [(code, pages.in_language(code).gettext(_TERMS) % {"institution": institution}) for code in NAMES]
    packet = _PACKET.format(
        terms=_alternatives(terms),
        source=escape(f"{recording.contact.reference} sha256:{media.sha256}"),
        given=escape(f"{viewer.person_id} {day.isoformat()}"),
    ).encode()
    return struct.pack(">I4s16s", 24 + len(packet), b"uuid", _XMP) + packet


def _alternatives(texts: Iterable[tuple[str, str]]) -> str:
    found = list(texts)
    each = [("x-default", found[0][1]), *found]
    return "".join(f"<rdf:li xml:lang={quoteattr(code)}>{escape(text)}</rdf:li>" for code, text in each)


_PACKET: Final = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/">
<xmpRights:Marked>True</xmpRights:Marked>
<xmpRights:UsageTerms><rdf:Alt>{terms}</rdf:Alt></xmpRights:UsageTerms>
<dc:rights><rdf:Alt>{terms}</rdf:Alt></dc:rights>
<dc:source>{source}</dc:source>
<dc:identifier>{given}</dc:identifier>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""

__all__ = ["note_of"]
