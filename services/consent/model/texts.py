"""The texts of a case, by language and number: what families read, word for word, and what was approved. Pure.

Places like `{institution}` are filled when a version is made, so that what is approved is exactly what is shown.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from firsthand.shared.events.contact import SCOPES, Language, Scope
from firsthand.shared.refused import Refused
from firsthand.shared.store import Document, Index
from firsthand.shared.texts import N_

_PLACE: Final = re.compile(r"\{([a-z_]*)\}")
_LINK: Final = re.compile(r"https?://|www\.|[a-z0-9]\.(?:com|org|net|edu|io|app|link)\b", re.IGNORECASE)

Words = Annotated[str, Field(min_length=1, max_length=4000)]


class ScopeWords(BaseModel):
    """One scope as a family reads it: the question, and what a yes means."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    question: Words
    consequence: Words


class TextBody(BaseModel):
    """Everything that a family reads before it decides."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    first_message: Annotated[Words, Field(description="sent by a person; no link, and nothing that names a condition")]
    reminder: Words
    link_message: Annotated[Words, Field(description="goes with the personal link, after a yes")]
    who_we_are: Words
    how_to_check: Words
    what_happens: Annotated[list[Words], Field(min_length=1, max_length=12)]
    purpose: Annotated[Words, Field(description="what the conversation and the recording are used for")]
    audience: Annotated[
        Words, Field(description="who learns from it, e.g. `about 25 third-year students, until June 2027`")
    ]
    retention: Words
    reward: Words
    contact: Annotated[Words, Field(description="whom to ask and where to complain")]
    scopes: dict[Scope, ScopeWords]

    def digest(self, language: str) -> str:
        """SHA-256 (hex) of the canonical JSON: keys sorted, no spaces, UTF-8."""
        content = {"language": language, "text": self.model_dump(mode="json")}
        canonical = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


class Text(Document):
    """One numbered version of a case's text in one language. Once approved it never changes."""

    kind: ClassVar[str] = "text"
    indexes: ClassVar[tuple[Index, ...]] = (
        Index.on("case_id", "language", "number"),
        Index.on("case_id", "language", "state", "number"),
    )

    case_id: str
    language: Language
    number: int
    body: TextBody
    sha256: str
    state: Literal["draft", "approved"] = "draft"
    made_by: str
    made_at: AwareDatetime
    approval_number: str = ""
    approved_by: str | None = None
    approved_at: AwareDatetime | None = None

    @staticmethod
    def id_of(case_id: str, language: str, number: int) -> str:
        return f"{case_id}.{language}.{number}"

    @property
    def text_version(self) -> str:
        return f"{self.number}:{self.sha256}"

    def approve(self, at: AwareDatetime, person_id: str, approval_number: str, sha256: str | None) -> None:
        """Approve exactly what was read (`sha256`, when given), under the number of the approval."""
        if not approval_number.strip():
            raise Refused(
                "no-number",
                N_("Enter the number of the approval that covers this text."),
                fields=("number",),
                kind="invalid",
            )
        if sha256 and sha256 != self.sha256:
            raise Refused("edited", N_("The text was edited after you opened it. Read it again before you approve it."))
        if self.state == "approved":
            raise Refused("approved", N_("This version is already approved."))
        self.state, self.approval_number = "approved", approval_number.strip()
        self.approved_at, self.approved_by = at, person_id


def filled(body: TextBody, places: Mapping[str, str]) -> TextBody:
    """Fill every `{place}`; the audience first, since others name it. Raises Refused for an unknown place."""
    audience = _fill(body.audience, {name: value for name, value in places.items() if name != "audience"})
    known = {**places, "audience": audience}
    raw = body.model_dump(mode="json")
    return TextBody.model_validate(_fill_all(raw, known))


def checked(body: TextBody, sensitive: list[str]) -> None:
    """What is sent first holds no link and none of the sensitive words, and every scope is worded. Raises Refused."""
    for name in ("first_message", "reminder"):
        message: str = getattr(body, name)
        if _LINK.search(message):
            raise Refused(
                "link-in-message",
                N_(
                    "The first message and the reminder must not contain a link: people do not trust links from "
                    "strangers."
                ),
                fields=(name,),
                kind="invalid",
            )
        if any(word and word.casefold() in message.casefold() for word in sensitive):
            raise Refused(
                "names-condition",
                N_("The first message and the reminder must not name the condition: other people may see them."),
                fields=(name,),
                kind="invalid",
            )
    if missing := [scope for scope in SCOPES if scope not in body.scopes]:
        raise Refused(
            "scope-missing",
            N_("Write a text for every question."),
            fields=tuple(f"scopes.{s}" for s in missing),
            kind="invalid",
        )


def _fill_all(value: object, places: Mapping[str, str]) -> object:
    if isinstance(value, str):
        return _fill(value, places)
    if isinstance(value, list):
        return [_fill_all(one, places) for one in value]
    if isinstance(value, dict):
        return {key: _fill_all(one, places) for key, one in value.items()}
    return value


def _fill(text: str, places: Mapping[str, str]) -> str:
    def one(match: re.Match[str]) -> str:
        if match[1] not in places:
            raise Refused(
                "unknown-place",
                N_("We do not know one of the words in {braces}. The words you can use are listed below the fields."),
                fields=(match[0],),
                kind="invalid",
            )
        return places[match[1]]

    return _PLACE.sub(one, text)
