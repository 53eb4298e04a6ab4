"""The questions to a family, one per page, and the reading of their answers. Pure: a draft in, a page out."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from firsthand.services.consent.handlers.decisions import Answers
from firsthand.services.consent.model.scopes import ASKED, NEEDS
from firsthand.shared.events.contact import SCOPES, Scope
from firsthand.shared.inputs import number_of

Draft = Mapping[str, Any]

ABOUT_THE_SIGNER: Final = ("signer", "about_child", "child_assent", "decides_alone", "name")


def questions(draft: Draft) -> list[str]:
    """The questions that apply, in order, as far as the answers so far tell."""
    asked = ["signer"]
    if draft.get("signer", "self") != "self":
        asked.append("about_child")
        if draft.get("about_child") == "yes":
            asked.append("child_assent")
            if draft.get("child_assent") == "objects":  # a child's no ends it: nothing else is asked
                return asked
    return [*asked, "decides_alone", "name", *(scope for scope in SCOPES if applies(scope, draft))]


def applies(scope: Scope, draft: Draft) -> bool:
    """Whether to ask for a scope: we can act on it, what it needs was allowed, and no wider yes has answered it."""
    if scope not in ASKED or (scope == "record-audio" and draft.get("record-video") == "yes"):
        return False
    needs = NEEDS.get(scope)
    return needs is None or any(draft.get(need) == "yes" and applies(need, draft) for need in needs)


def child_objects(draft: Draft) -> bool:
    return "child_assent" in questions(draft) and draft.get("child_assent") == "objects"


def unanswered(draft: Draft) -> str | None:
    """The first question without an answer; None when there is nothing left but the review."""
    return next((name for name in questions(draft) if not draft.get(name)), None)


def before(name: str, draft: Draft) -> str | None:
    asked = questions(draft)
    position = asked.index(name) if name in asked else 0
    return asked[position - 1] if position else None


def answers_of(draft: Draft) -> Answers:
    """Read a complete draft. Only asked questions count: an answer to one that no longer applies is a no."""
    asked = frozenset(questions(draft))
    about_child = "about_child" in asked and draft.get("about_child") == "yes"
    year = number_of(str(draft.get("birth_year") or ""))
    return Answers(
        signer=draft["signer"],
        name=draft["name"],
        scopes={scope: scope in asked and draft.get(scope) == "yes" for scope in SCOPES},
        about_child=about_child,
        child_assent=draft.get("child_assent") if about_child else None,
        birth_year=year if about_child else None,
        decides_alone=draft.get("decides_alone") != "no",
        other_agrees=str(draft.get("other_agrees") or ""),
    )


def scopes_asked(draft: Draft) -> Sequence[Scope]:
    return [scope for scope in SCOPES if applies(scope, draft)]
