"""What every state of a journey says of its contact: enough to act on, nothing personal."""

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

Language = Annotated[
    str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", description="BCP 47, e.g. `en`, `ar`, `es`")
]


class ContactReference(BaseModel):
    """The contact as it is shown to others."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    contact_id: str
    case_id: str
    reference: Annotated[str, Field(description="e.g. `CLP-014`")]
    language: Language
    tutor_id: Annotated[str, Field(description="the person id of the tutor who cleared the contact and guides it")]


Scope = Literal[
    "meet",
    "record-video",
    "record-audio",
    "transcript",
    "share-cohort",
    "share-institution",
    "share-partners",
    "share-public",
    "download",
]
SCOPES: tuple[Scope, ...] = get_args(Scope)
# The audiences of which somebody can sign in and watch today; partners and the public have no door yet.
SHOWN_TO: frozenset[Scope] = frozenset({"share-cohort", "share-institution"})
