"""What a family decides, itself or by telling a person. The record of an act is kept before the act counts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from firsthand.services.consent.handlers.erasure import begin_if_due
from firsthand.services.consent.handlers.policies import Ground, ground_of
from firsthand.services.consent.model import WRONG_YEAR, Erase, Journey, Signer, comes_of_age, is_birth_year
from firsthand.services.consent.model.records import Act, Assent, Statement
from firsthand.services.consent.model.scopes import ordered
from firsthand.services.consent.repository import Journeys
from firsthand.shared.events.consent import (
    ConsentChangedV1,
    ConsentDeclinedV1,
    ConsentGrantedV1,
    ConsentReleasedV1,
    ConsentState,
    ConsentWithdrawnV1,
)
from firsthand.shared.events.contact import Scope
from firsthand.shared.events.envelope import Event
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.inputs import is_name
from firsthand.shared.refused import Refused
from firsthand.shared.service import Context, use_case
from firsthand.shared.texts import N_

FAMILY = "family"
_RECENT = timedelta(days=366)  # how far back something that reached staff by message may be logged


@dataclass(frozen=True)
class Told:
    """How something reached a person of the staff who now logs it."""

    person_id: str
    how: str
    at: datetime | None = None


@dataclass(frozen=True)
class Answers:
    """The signer, the person they decide for, and each answer. Names are plain here and sealed when stored."""

    signer: Signer
    name: str
    scopes: Mapping[Scope, bool]
    about_child: bool = False
    child_assent: Assent | None = None
    birth_year: int | None = None
    decides_alone: bool = True
    other_agrees: str = ""

    def demand_complete(self, now: datetime) -> None:
        if not is_name(self.name):
            raise Refused(
                "no-name",
                N_("Enter your name."),
                fields=("name",),
                kind="invalid",
            )
        if self.about_child and self.signer == "self":
            raise Refused(
                "signer",
                N_("A parent, a legal guardian or a carer decides for a child under 18."),
                fields=("signer",),
                kind="invalid",
            )
        if self.about_child and self.child_assent is None:
            raise Refused(
                "no-assent",
                N_("Choose whether the child agrees, or is too young to ask."),
                fields=("child_assent",),
                kind="invalid",
            )
        if self.about_child and self.child_assent == "objects":
            raise Refused(
                "child-objects",
                N_("The child does not want to take part, and we respect that. Choose “No, thank you”."),
            )
        if self.about_child and self.birth_year is not None and not is_birth_year(self.birth_year, now):
            raise Refused("birth-year", WRONG_YEAR, fields=("birth_year",), kind="invalid")
        if not self.decides_alone and not is_name(self.other_agrees):
            raise Refused(
                "other-agrees",
                N_("Enter who else must agree, and whether they have agreed."),
                fields=("other_agrees",),
                kind="invalid",
            )

    @property
    def chosen(self) -> list[Scope]:
        return ordered(scope for scope, yes in self.scopes.items() if yes)


@use_case
async def grant(
    context: Context,
    institution: InstitutionId,
    contact_id: str,
    answers: Answers,
    *,
    language: str | None = None,
    text_version: str | None = None,
) -> Journey:
    """The first yes, to the text that was shown. Raises Refused; NotFound."""
    answers.demand_complete(context.clock.now())
    journeys = Journeys(context, institution)
    journey = await journeys.demand(contact_id)
    now, ground = context.clock.now(), await _ground(context, journey, language)
    if text_version and ground.text and text_version != ground.text.text_version:
        raise Refused("text-renewed", N_("We changed this text while you were reading. Please read it again."))
    journey.grant(
        now,
        answers.chosen,
        ground.permission,
        text_version=ground.text.text_version if ground.text else "",
        language=ground.text.language if ground.text else journey.contact.language,
        signer=answers.signer,
        about_child=answers.about_child,
        keep_for=ground.keep_for,
        sure=context.trusted.sure(),
    )
    sealed = await context.vault.seal_many(institution, contact_id, _personal(answers))
    if answers.about_child and answers.birth_year:
        journey.birth_year = sealed["birth_year"]
        journey.revisit_at = comes_of_age(answers.birth_year, now)
    journey.draft = None
    statement = Statement(
        signer=answers.signer,
        name=sealed["name"],
        about_child=answers.about_child,
        child_assent=answers.child_assent if answers.about_child else None,
        decides_alone=answers.decides_alone,
        other_agrees=sealed.get("other_agrees"),
    )
    return await _keep(context, journey, "granted", ConsentGrantedV1, ground=ground, statement=statement)


@use_case
async def decline(context: Context, institution: InstitutionId, contact_id: str) -> Journey:
    journeys = Journeys(context, institution)
    journey = await journeys.demand(contact_id)
    journey.decline(context.trusted.latest(), context.trusted.sure())
    journey.draft = None
    return await _keep(context, journey, "declined", ConsentDeclinedV1)


@use_case
async def change(
    context: Context,
    institution: InstitutionId,
    contact_id: str,
    answers: Mapping[Scope, bool],
    *,
    told: Told | None = None,
) -> Journey:
    """Change the scopes named in `answers`; the others stay. Staff (`told`) can only record less."""
    journeys = Journeys(context, institution)
    journey = await journeys.demand(contact_id)
    now, ground = context.clock.now(), await _ground(context, journey, journey.consent.language)
    kept = {scope for scope in journey.consent.allowed if answers.get(scope, True)}
    scopes = ordered(kept | {scope for scope, yes in answers.items() if yes})
    wider = journey.consent.widens(scopes)
    if wider:
        ground.permission.demand(now)
    version = ground.text.text_version if ground.text else journey.consent.text_version
    journey.change(now, scopes, text_version=version, by_family=told is None)
    return await _keep(context, journey, "changed", ConsentChangedV1, told=told, ground=ground if wider else None)


@use_case
async def choose_end(context: Context, institution: InstitutionId, contact_id: str, until: datetime) -> Journey:
    """Everything is deleted at `until`; what is allowed stays as it is until then. Raises Refused; NotFound."""
    journeys = Journeys(context, institution)
    journey = await journeys.demand(contact_id)
    journey.consent.end_on(until, context.trusted.latest())
    return await _keep(context, journey, "changed", ConsentChangedV1, until=until)


@use_case
async def pause(context: Context, institution: InstitutionId, contact_id: str) -> Journey:
    return await _simple(context, institution, contact_id, "paused", ConsentChangedV1)


@use_case
async def resume(context: Context, institution: InstitutionId, contact_id: str) -> Journey:
    return await _simple(context, institution, contact_id, "resumed", ConsentChangedV1)


@use_case
async def undo(context: Context, institution: InstitutionId, contact_id: str) -> Journey:
    """Undo a withdrawal within its seven days; what was in force applies again, including a release."""
    journeys = Journeys(context, institution)
    journey = await journeys.demand(contact_id)
    journey.consent.undo(context.trusted.sure())  # for as long as nothing deletes it
    return await _keep(context, journey, "undone", ConsentChangedV1)


@use_case
async def release(context: Context, institution: InstitutionId, contact_id: str, sha256: str) -> Journey:
    """The second yes, to exactly the recording with this SHA-256 (hex)."""
    journeys = Journeys(context, institution)
    journey = await journeys.demand(contact_id)
    journey.consent.release(context.clock.now(), sha256, journey.recording)
    return await _keep(context, journey, "released", ConsentReleasedV1, sha256=sha256)


@use_case
async def withdraw(
    context: Context, institution: InstitutionId, contact_id: str, erase: Erase, *, told: Told | None = None
) -> Journey:
    """Nothing is allowed from the save on; deletion begins at once or when the days to undo it are over."""
    journeys = Journeys(context, institution)
    journey = await journeys.demand(contact_id)
    journey.withdraw(context.trusted.latest(), erase, context.trusted.sure())
    journey.draft = None
    saved = await _keep(context, journey, "withdrawn", ConsentWithdrawnV1, told=told, erase=erase)
    return await begin_if_due(context, saved, actor=_actor(told))


async def _simple(
    context: Context, institution: InstitutionId, contact_id: str, act: Act, event: type[Event[ConsentState]]
) -> Journey:
    journeys = Journeys(context, institution)
    journey = await journeys.demand(contact_id)
    decide = {"paused": journey.consent.pause, "resumed": journey.consent.resume}[act]
    decide(context.clock.now())
    return await _keep(context, journey, act, event)


async def _keep(
    context: Context,
    journey: Journey,
    act: Act,
    event: type[Event[ConsentState]],
    *,
    told: Told | None = None,
    ground: Ground | None = None,
    **more: Any,
) -> Journey:
    """Save a decision with its record. Raises Conflict."""
    text = ground.text if ground else None
    if told:
        _demand_plausible(told, context.clock.now())
        more["how_told"] = await context.vault.seal(journey.institution, journey.id, "how_told", told.how)
        more["told_at"] = told.at or context.clock.now()
    return await Journeys(context, journey.institution).save_act(
        journey,
        event,
        actor=_actor(told),
        act=act,
        at=context.clock.now(),
        scopes=journey.consent.allowed,
        language=journey.consent.language,
        text_version=journey.consent.text_version,
        text=text.body if text else None,
        **more,
    )


def _demand_plausible(told: Told, now: datetime) -> None:
    if not told.how.strip():
        raise Refused(
            "how-told",
            N_("Enter how they told you, for example “message to our account”."),
            fields=("how_told",),
            kind="invalid",
        )
    if told.at and not now - _RECENT <= told.at <= now:
        raise Refused("told-at", N_("Enter the day they told you."), fields=("told_at",), kind="invalid")


def _personal(answers: Answers) -> dict[str, str]:
    plain = {"name": answers.name.strip()}
    if not answers.decides_alone:
        plain["other_agrees"] = answers.other_agrees.strip()
    if answers.about_child and answers.birth_year:
        plain["birth_year"] = str(answers.birth_year)
    return plain


def _actor(told: Told | None) -> str:
    return told.person_id if told else FAMILY


async def _ground(context: Context, journey: Journey, language: str | None) -> Ground:
    languages = (language, journey.contact.language) if language else (journey.contact.language,)
    return await ground_of(context, journey.institution, journey.case_id, *languages)
