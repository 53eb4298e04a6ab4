"""How documents lie in MongoDB: a collection a kind, and a document in it of this shape.

    _id          "<institution>/<id>": unique, and one institution's documents lie together in the order of their ids
    institution  the first field of every declared index
    version      the version that the next write must find
    fields       what the document's top-level fields hold, if it is a text, a whole number, a yes or no, or nothing:
                 what an index can be declared over. Times are texts of one length in UTC, so that they sort as times
                 and keep their microseconds, which a date of MongoDB's would lose
    rest         all other fields, as JSON: keys with dots or dollars, deep nesting and large numbers stay as they are
    outbox       events not yet published, by event id: {order, version, subject, at, body}
    waiting      the place in the order of saves of the oldest of them; absent when there is none. The flag of the
                 outbox's index. Places of urgent events lie before all others

One document is written by one operation. Nothing is kept twice, and no index needs what an older release did not write.
"""

from datetime import UTC, datetime
from typing import Any, Final

from pydantic_core import from_json, to_json

from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.store import D, Document, OutboxEntry, Scalar
from firsthand.shared.store.kinds import Kind
from firsthand.shared.store.versions import raw_of, read

Raw = dict[str, Any]

_WHOLE_NUMBERS: Final = range(-(2**63), 2**63)  # what a 64-bit integer of BSON holds
# Places are microseconds since 1970, and those of urgent events so much less: they lie below it, until 2065, and all
# others above it, since 2017. All are positive, because a release that knows of no urgent ones looks for such only.
URGENT_BELOW: Final = 1_500_000_000_000_000
_FRAME: Final = frozenset({"id", "institution", "version"})


def key(institution: InstitutionId, id_: str) -> str:
    return f"{institution}/{id_}"


def keys_of(institution: InstitutionId) -> dict[str, str]:
    """Give the condition that `_id` is one of this institution's ("0" follows "/" in every collation we use)."""
    return {"$gte": f"{institution}/", "$lt": f"{institution}0"}


def sortable(at: datetime) -> str:
    """Give a time as a text of one length in UTC, which pydantic reads as it is."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def path(field: str) -> str:
    """Tell where a document's field lies."""
    return {"id": "_id"}.get(field, field) if field in _FRAME else f"fields.{field}"


def operand(kind: Kind, institution: InstitutionId, field: str, value: Scalar) -> Any:
    """Give a value as the field it is compared with holds it."""
    kind.check_operand(field, value)
    if field == "id":
        return key(institution, str(value))
    return sortable(value) if isinstance(value, datetime) else value


def state(kind: Kind, stored: Document) -> Raw:
    """Give what a write sets: the document's new state, without its key and outbox."""
    fields: Raw = {}
    rest: Raw = {}
    for name, value in raw_of(stored).items():
        if name in _FRAME:
            continue
        if name in kind.datetimes and value is not None:
            fields[name] = sortable(getattr(stored, name))
        elif value is None or isinstance(value, str | bool) or (isinstance(value, int) and value in _WHOLE_NUMBERS):
            fields[name] = value
        else:
            rest[name] = value
    return {"version": stored.version, "fields": fields, "rest": to_json(rest).decode()}


def document(kind: type[D], raw: Raw) -> D:
    """Read a document back, by the same validation as from any JSON. Raises Unreadable."""
    institution = raw["institution"]
    frame = {"id": raw["_id"].removeprefix(f"{institution}/"), "institution": institution, "version": raw["version"]}
    told = to_json(frame | raw["fields"])
    rest = raw["rest"].encode()
    return read(kind, told if rest == b"{}" else told[:-1] + b"," + rest[1:])


def waiting_event(order: int, version: int, entry: OutboxEntry) -> Raw:
    """Give an event as an outbox keeps it."""
    return {
        "order": order,
        "version": version,
        "subject": entry.nats_subject,
        "at": sortable(entry.at),
        "body": entry.body,
    }


def waiting_events(kind: Kind, raw: Raw) -> list[tuple[int, OutboxEntry]]:
    """Read a document's outbox: (place in the order of saves, event). Later versions never come before earlier ones,
    though clocks of two replicas differ, except urgent ones before others.
    """
    institution = raw["institution"]
    id_ = raw["_id"].removeprefix(f"{institution}/")
    found: list[tuple[int, OutboxEntry]] = []
    last = {True: 0, False: 0}
    for event_id, event in sorted(raw["outbox"].items(), key=lambda item: item[1]["version"]):
        urgent = event["order"] < URGENT_BELOW
        last[urgent] = order = max(event["order"], last[urgent])
        at = datetime.fromisoformat(event["at"])
        entry = OutboxEntry(
            kind.name, InstitutionId(institution), id_, event_id, event["subject"], bytes(event["body"]), at, urgent
        )
        found.append((order, entry))
    return found


def version_of(entry: OutboxEntry) -> int:
    """Read off an event's body with which version its document was saved."""
    return int(from_json(entry.body)["sequence"])
