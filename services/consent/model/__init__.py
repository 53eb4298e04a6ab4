"""The rules of consent, without I/O or a clock: times are passed in, an impossible step raises Refused."""

from firsthand.services.consent.model.consent import UNDO_FOR, Consent, Erase, Recording, Signer
from firsthand.services.consent.model.invitation import Invitation, Pace, Permission
from firsthand.services.consent.model.journey import (
    CERTIFICATE_FOR,
    STEPS,
    WRONG_YEAR,
    Consumer,
    ErasureAnswer,
    Journey,
    Meeting,
    MinimalReceipt,
    Stage,
    Step,
    comes_of_age,
    in_plain_order,
    is_birth_year,
    steps_of,
)
from firsthand.shared.refused import NotFound, Refused

__all__ = [
    "CERTIFICATE_FOR",
    "STEPS",
    "UNDO_FOR",
    "WRONG_YEAR",
    "Consent",
    "Consumer",
    "Erase",
    "ErasureAnswer",
    "Invitation",
    "Journey",
    "Meeting",
    "MinimalReceipt",
    "NotFound",
    "Pace",
    "Permission",
    "Recording",
    "Refused",
    "Signer",
    "Stage",
    "Step",
    "comes_of_age",
    "in_plain_order",
    "is_birth_year",
    "steps_of",
]
