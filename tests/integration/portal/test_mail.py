"""Mail to staff: who is known by which spelling, and what is said while no link can be mailed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from firsthand.services.portal.app import SERVICE
from firsthand.services.portal.handlers.mailing import SignInDesk
from firsthand.services.portal.model.people import Person
from firsthand.services.portal.repository import People
from firsthand.shared.clock import ManualClock
from firsthand.shared.deployment import Deployment
from firsthand.shared.doctor import examine
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.settings import Settings
from tests.integration.portal.running import Portal
from tests.patience import PATIENCE
from tests.postbox import Postbox, postbox

__all__ = ["postbox"]  # a fixture

QU = InstitutionId("qu-cdm")


@asynccontextmanager
async def mailing(data: Path, nats_url: str, postbox: Postbox) -> AsyncIterator[Portal]:
    clock = ManualClock(datetime(2026, 11, 21, 9, tzinfo=UTC))
    settings = Settings(data=data, nats_url=nats_url, smtp_url=postbox.url, mail_from="f@school.example")
    async with Deployment.started(settings, [SERVICE], clock=clock, create_keys=True) as deployment:
        portal = Portal(deployment, clock)
        await portal.add()
        await portal.person("c@school.example", "coordinator")
        yield portal


@pytest.mark.parametrize("typed", ["C\u200b@school.example", " c@school.example\u200f", "mailto:c@SCHOOL.example"])
async def test_a_person_is_known_however_the_address_is_pasted(college: Portal, typed: str) -> None:
    async with college.operator() as operator:
        body = {"name": "Again", "email": typed, "roles": ["tutor"]}
        answer = await operator.post("/portal/api/v1/institutions/qu-cdm/people", json=body)
        assert answer.status_code == 409
    async with college.signed_in(typed) as browser:
        assert (await browser.get("/portal/api/v1/institution")).status_code == 200


async def test_one_address_in_five_spellings_gets_no_more_links_than_in_one(college: Portal) -> None:
    async with college.client() as browser:
        spellings = ["c" + "\u200b" * number + "@school.example" for number in range(7)]
        bodies = [{"institution": "qu-cdm", "email": email} for email in spellings]
        answers = [(await browser.post("/portal/api/v1/sign-in", json=body)).status_code for body in bodies]
        assert answers == [202] * 5 + [429] * 2


async def test_whom_an_older_release_added_by_the_letters_that_were_typed_still_signs_in(college: Portal) -> None:
    typed, people, vault = "ana@müller.example", People(college.context, QU), college.context.vault
    person_id = vault.mark("person", QU, typed)[:32]
    sealed = await vault.seal_many(QU, person_id, {"name": "Ana", "email": typed})
    added = college.clock.now()
    old = Person(id=person_id, institution=QU, roles=["coordinator"], cohorts=[], added_at=added, **sealed)
    await people.save(old, actor="x")
    assert people.id_of(typed) != person_id
    async with college.signed_in(typed) as browser:
        await browser.post("/portal/api/v1/sign-in", json={"institution": "qu-cdm", "email": typed})
    assert (await college.letters(1))[0].to == "ana@xn--mller-kva.example"
    async with college.operator() as operator:
        body = {"name": "Ana", "email": "ana@xn--mller-kva.example", "roles": ["tutor"]}
        twin = await operator.post("/portal/api/v1/institutions/qu-cdm/people", json=body)
        assert twin.status_code == 409


async def test_letters_that_our_mail_server_cannot_write_to_are_refused_in_words(
    tmp_path: Path, nats_url: str, postbox: Postbox
) -> None:
    postbox.speaks = ()
    async with mailing(tmp_path / "data", nats_url, postbox) as portal, portal.operator() as operator:
        for email, said in (("josé@school.example", "letters such as é"), ("nobody", "valid email address")):
            body = {"name": "J", "email": email, "roles": ["tutor"]}
            answer = await operator.post("/portal/api/v1/institutions/qu-cdm/people", json=body)
            assert (answer.status_code, said in answer.text) == (422, True)


@pytest.mark.parametrize(
    ("mailbox", "status"), [("families@school.example", 200), ("nobody", 422), ("josé@x.example", 422)]
)
async def test_answers_of_families_go_to_a_mailbox_that_every_server_can_write_to(
    college: Portal, mailbox: str, status: int
) -> None:
    async with college.signed_in("c@school.example") as browser:
        answer = await browser.put("/portal/api/v1/institution", json={"reply_address": mailbox})
        assert answer.status_code == status, answer.text


async def test_while_links_cannot_be_mailed_everybody_reads_so_and_then_they_go(
    tmp_path: Path, nats_url: str, postbox: Postbox
) -> None:
    postbox.answers["EHLO"] = postbox.answers["HELO"] = "554 go away"
    async with mailing(tmp_path / "data", nats_url, postbox) as portal:
        state = portal.context.mail.state
        async with portal.client(Accept="text/html") as browser:
            body = {"institution": "qu-cdm", "email": "c@school.example"}
            first = await browser.post("/portal/sign-in", data=body)
            assert first.status_code == 200
            desk = portal.context.own(SignInDesk)
            async with asyncio.timeout(PATIENCE):
                while not desk.waiting or not state.trouble:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            pages = {
                (await browser.post("/portal/sign-in", data=body | {"email": email})).text
                for email in ("c@school.example", "nobody@school.example")
            }
            assert len(pages) == 1, "nobody learns whom we know"
            assert "We cannot send emails at the moment" in pages.pop()
            assert "we have sent you a link" not in (await browser.post("/portal/api/v1/sign-in", json=body)).text
            assert "We cannot send emails at the moment" in (await browser.get("/portal/sign-in")).text

            told = await _told(browser, state, impaired=True)
            assert told["ready"]
            assert told["impaired"][0].endswith("UTC: the mail server refuses to talk to us (554)")
            assert told["mail"]["waiting"] == desk.waiting == 3
            findings = await examine(portal.context.settings, {})
            assert "no mail can be sent: the mail server refuses to talk to us (554)" in str(findings)

            postbox.answers = {}
            told = await _told(browser, state, impaired=False)
            async with asyncio.timeout(PATIENCE):
                while desk.waiting or len(postbox.received) < 3:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert {mail["From"] for mail in postbox.mails()} == {"Example College <f@school.example>"}
            assert "Check your email" in (await browser.post("/portal/sign-in", data=body)).text
            findings = await examine(portal.context.settings, {})
            assert any(one.level != "fault" and "takes mail, also to addresses" in one.text for one in findings)


async def _told(browser: Any, state: Any, *, impaired: bool) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE):
        while True:
            state.changed.set()  # the watch looks at once, not in fifteen seconds
            await asyncio.sleep(0.02)
            told: dict[str, Any] = (await browser.get("/portal/readyz")).json()
            if bool(told["impaired"]) == impaired and (not impaired or told.get("mail", {}).get("waiting") == 3):
                return told
