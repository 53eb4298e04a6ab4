"""Which durable of the topology is handled by which use case."""

from collections.abc import Mapping
from typing import Final

from services.archive.handlers import following
from shared.copies import keep_case, keep_institution
from shared.service import Handler

HANDLERS: Final[Mapping[str, Handler]] = {
    "keep_institution": keep_institution,
    "keep_case": keep_case,
    "follow_consent": following.follow_consent,
    "await_recording": following.await_recording,
}
