"""What discovery does on others' events, and when its own documents are due."""

from collections.abc import Mapping
from typing import Final

from firsthand.services.discovery.handlers.cases import let_leads_go
from firsthand.services.discovery.handlers.leads import end_week, forget, lapse
from firsthand.services.discovery.handlers.people import follow_consent, settle_later
from firsthand.services.discovery.model.cases import Case
from firsthand.services.discovery.model.leads import KEPT_FOR, WEEK_KEPT_FOR, Gone, Lead, Week
from firsthand.services.discovery.model.people import Person
from firsthand.shared.copies import keep_institution
from firsthand.shared.service import Subscribers, Timer
from firsthand.shared.store import Document

SUBSCRIBERS: Final = Subscribers("discovery")

SUBSCRIBERS.subscriber("keep_institution")(keep_institution)
SUBSCRIBERS.subscriber("follow_consent")(follow_consent)

TIMERS: Final[Mapping[type[Document], Timer]] = {
    Case: Timer(let_leads_go, destroys=False),  # a person closed it: its time only says “soon”
    Lead: Timer(lapse, destroys=True, longest=KEPT_FOR),
    Gone: Timer(forget, destroys=True, longest=KEPT_FOR),
    Week: Timer(end_week, destroys=True, longest=WEEK_KEPT_FOR),
    Person: Timer(settle_later, destroys=False),
}

__all__ = ["SUBSCRIBERS", "TIMERS"]
