"""What a person of the institution may see of cases and leads (`shared.acting`), as questions to the store."""

from dataclasses import dataclass
from typing import Final, Literal

from firsthand.services.discovery.model.cases import Case
from firsthand.services.discovery.repository import Repository
from firsthand.shared.acting import leads
from firsthand.shared.refused import Refused
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff
from firsthand.shared.store import MOST_VALUES, OneOf, Where
from firsthand.shared.texts import N_

State = Literal["open", "closed"]
STATES: Final[tuple[State, ...]] = ("open", "closed")


@dataclass(frozen=True)
class Sight:
    """The cases that one person may see: all, or those of a tutor."""

    mine: tuple[Case, ...] | None  # None: all

    def cases(self, *states: State) -> Where:
        """Ask for the cases in these states. Raises Refused for more than one question takes."""
        state = OneOf(states or STATES)
        if self.mine is None:
            return {"state": state}
        return {"state": state, "prefix": self._of([one.prefix for one in self.mine], len(state.values))}

    @property
    def sort(self) -> str:
        """The field by which cases come in the order of their prefixes, with which their ids begin."""
        return "prefix" if self.mine is None else "id"

    def leads(self, where: Where) -> Where:
        """Narrow a question about leads of all cases. Raises Refused for more than one question takes."""
        return where if self.mine is None else {**where, "case_id": self._of([one.id for one in self.mine], 1)}

    @staticmethod
    def _of(values: list[str], times: int) -> OneOf:
        if len(values) * times > MOST_VALUES:
            raise Refused.of_field("case", N_("You have too many cases for one list. Choose one case."))
        return OneOf.of(values)


async def sight_of(context: Context, staff: Staff) -> Sight:
    if leads(staff):
        return Sight(None)
    cases = Repository(context, staff.institution).cases
    return Sight(tuple([one async for one in cases.all() if one.responsible().include(staff)]))


__all__ = ["STATES", "Sight", "sight_of"]
