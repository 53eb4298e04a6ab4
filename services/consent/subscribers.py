"""The events that consent listens to, each with its use case."""

from typing import Final

from firsthand.services.consent.handlers.erasure import note_erased
from firsthand.services.consent.handlers.following import follow_meeting, follow_obligations, follow_recording
from firsthand.services.consent.handlers.invitations import prepare_invitation
from firsthand.shared.copies import keep_case, keep_institution
from firsthand.shared.service import Subscribers

SUBSCRIBERS: Final = Subscribers("consent")

SUBSCRIBERS.subscriber("keep_institution")(keep_institution)
SUBSCRIBERS.subscriber("keep_case")(keep_case)
SUBSCRIBERS.subscriber("prepare_invitation")(prepare_invitation)
SUBSCRIBERS.subscriber("follow_meeting")(follow_meeting)
SUBSCRIBERS.subscriber("follow_recording")(follow_recording)
SUBSCRIBERS.subscriber("note_discovery_erased")(note_erased)
SUBSCRIBERS.subscriber("note_scheduling_erased")(note_erased)
SUBSCRIBERS.subscriber("note_archive_erased")(note_erased)
SUBSCRIBERS.subscriber("note_webhooks_erased")(note_erased)
SUBSCRIBERS.subscriber("follow_obligations")(follow_obligations)
