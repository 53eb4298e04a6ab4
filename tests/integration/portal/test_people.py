"""The portal over HTTP with a real store and a real NATS server: institutions, people, signing in."""

import asyncio
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from firsthand.services.portal.app import SERVICE
from firsthand.shared.identifiers import InstitutionId
from tests import paging
from tests.integration.portal.running import COLLEGE, Portal


async def test_only_the_deployments_operators_add_institutions(college: Portal) -> None:
    await college.person("o@school.example", "operator")
    async with college.signed_in("c@school.example") as coordinator:
        assert (await coordinator.post("/portal/api/v1/institutions", json=COLLEGE)).status_code == 403
    async with college.signed_in("o@school.example") as operator:
        assert (await operator.get("/portal/api/v1/institutions")).status_code == 403
        assert (await operator.get("/portal/api/v1/people")).status_code == 403
    async with college.operator() as operator:
        assert (await operator.post("/portal/api/v1/institutions", json=COLLEGE)).status_code == 409
        assert [one["slug"] for one in (await operator.get("/portal/api/v1/institutions")).json()["items"]] == [
            "qu-cdm"
        ]
        reserved = await operator.post("/portal/api/v1/institutions", json=COLLEGE | {"slug": "deployment"})
        assert reserved.status_code == 422


async def test_operators_of_the_deployment_sign_in_and_no_one_else_belongs_to_it(college: Portal) -> None:
    await college.person("root@host.example", "operator", slug="deployment")
    async with college.signed_in("root@host.example", "deployment") as operator:
        assert (await operator.get("/portal/api/v1/institutions")).status_code == 200
    async with college.operator() as operator:
        body = {"name": "T", "email": "t@x.example", "roles": ["tutor"]}
        assert (await operator.post("/portal/api/v1/institutions/deployment/people", json=body)).status_code == 422


async def test_an_address_is_one_person_whatever_its_case_and_however_many_add_it_at_once(college: Portal) -> None:
    async with college.signed_in("c@school.example") as coordinator:

        async def add(email: str) -> httpx.Response:
            body = {"name": "Amal", "email": email, "roles": ["tutor"]}
            return await coordinator.post("/portal/api/v1/people", json=body)

        answers = await asyncio.gather(*(add(email) for email in ("amal@s.example", "Amal@S.example") * 5))
        assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9
        (person_id,) = (answer.json()["person_id"] for answer in answers if answer.status_code == 201)
        assert {a.headers["Location"] for a in answers if a.status_code == 409} == {
            f"/portal/api/v1/people/{person_id}"
        }
        label = await coordinator.get(f"/portal/api/v1/people/{person_id}/label")
        assert label.json() == {"label": "Amal"}


async def test_people_are_listed_by_name_page_by_page_and_counted(college: Portal) -> None:
    async with college.signed_in("c@school.example") as coordinator:
        names = [f"Person {n:03}" for n in range(120)]
        for name in reversed(names):
            body = {"name": name, "email": f"{name[7:]}@s.example", "roles": ["student"]}
            assert (await coordinator.post("/portal/api/v1/people", json=body)).status_code == 201
        everybody = (await coordinator.get("/portal/api/v1/people")).json()
        names = sorted([*names, *(one["name"] for one in everybody["items"] if one["name"] not in names)])
        assert ([one["name"] for one in everybody["items"]], everybody["next"]) == (names, None)

        async def ask(path: str) -> Any:
            return (await coordinator.get(path)).json()

        async def shown(path: str) -> str:
            page = await coordinator.get(path, headers={"Accept": "text/html"})
            assert (page.status_code, f"({len(names)})" in page.text) == (200, True)
            return page.text

        found, totals = await paging.walk(ask, "/portal/api/v1/people?limit=50", "items", "name")
        assert (found, totals) == (names, [len(names)] * 3)
        row = r'<a href="/portal/people/[0-9a-f]+"><bdi>([^<]+)</bdi>'
        assert await paging.walk_pages(shown, "/portal/people", row) == names
        assert (await coordinator.get("/portal/people?after=nobody")).status_code == 400


async def test_a_tutor_chooses_students_by_name_and_sees_no_address(college: Portal) -> None:
    student_id = await college.person("student@school.example", "student")
    await college.person("tutor@school.example", "tutor")
    async with college.signed_in("tutor@school.example") as tutor:
        answer = await tutor.get("/portal/api/v1/people/labels")
        assert answer.json() == {"items": [{"person_id": student_id, "label": "Name of student@school.example"}]}
        assert (await tutor.get("/portal/api/v1/people")).status_code == 403


async def test_a_sign_in_link_works_once_also_when_pressed_twice_at_the_same_time(college: Portal) -> None:
    link = await college.link("c@school.example")
    async with college.client() as one, college.client() as other:
        answers = await asyncio.gather(*(browser.post(link) for browser in (one, other, one, other)))
        assert sorted(answer.status_code for answer in answers) == [303, 410, 410, 410]
    async with college.client(Accept="text/html") as late:
        assert (await late.get(link)).status_code == 410


async def test_looking_at_a_sign_in_link_changes_nothing(college: Portal) -> None:
    link = await college.link("c@school.example")
    async with college.client(Accept="text/html") as preview:
        for _ in range(3):
            seen = await preview.get(link)
            assert seen.status_code == 200
            assert not seen.cookies
    async with college.client() as browser:
        assert (await browser.post(link)).status_code == 303


async def test_a_sign_in_link_ends_after_fifteen_minutes(college: Portal) -> None:
    link = await college.link("c@school.example")
    college.clock.advance(timedelta(minutes=15))
    async with college.client() as browser:
        assert (await browser.post(link)).status_code == 410


async def test_who_asks_for_a_link_is_not_told_whether_the_address_is_known(college: Portal) -> None:
    async with college.client() as browser:
        bodies = set()
        for email in ("c@school.example", "nobody@school.example"):
            body = {"institution": "qu-cdm", "email": email}
            answer = await browser.post("/portal/api/v1/sign-in", json=body)
            page = await browser.post("/portal/sign-in", data=body, headers={"Accept": "text/html"})
            bodies.add((answer.status_code, answer.text, page.status_code, page.text))
        elsewhere = await browser.post("/portal/api/v1/sign-in", json={"institution": "none", "email": "a@b.example"})
        assert len(bodies) == 1
        assert elsewhere.status_code == 202
    letters = await college.letters(2)
    assert {letter.to for letter in letters} == {"c@school.example"}


async def test_the_mailed_link_leads_back_to_where_one_wanted_to_go(college: Portal) -> None:
    async with college.client(Accept="text/html") as browser:
        asked = await browser.get("/portal/session/renew?next=%2Fportal%2Fpeople%3Fx%3D1")
        assert asked.headers["Location"] == "/portal/sign-in?next=%2Fportal%2Fpeople%3Fx%3D1"
        form = {"institution": "qu-cdm", "email": "C@school.example", "next": "/portal/people?x=1"}
        await browser.post("/portal/sign-in", data=form)
        (letter,) = await college.letters(1)
        link = re.search(r"http\S+", letter.text)
        assert link
        signed_in = await browser.post(link.group())
        assert signed_in.headers["Location"] == "/portal/people?x=1"
        elsewhere = f"{await college.link('c@school.example')}?next=https://elsewhere.example"
        assert (await browser.post(elsewhere)).headers["Location"] == "/portal/today"


async def test_links_are_not_sent_without_end(college: Portal) -> None:
    async with college.client() as browser:
        body = {"institution": "qu-cdm", "email": "c@school.example"}
        answers = [await browser.post("/portal/api/v1/sign-in", json=body) for _ in range(7)]
        assert [answer.status_code for answer in answers] == [202] * 5 + [429] * 2
        assert answers[-1].headers["Retry-After"] == "900"
        college.clock.advance(timedelta(minutes=15))
        assert (await browser.post("/portal/api/v1/sign-in", json=body)).status_code == 202


async def test_nobody_is_kept_out_by_links_that_others_asked_for(college: Portal) -> None:
    body, path = {"institution": "qu-cdm", "email": "c@school.example"}, "/portal/api/v1/sign-in"
    for number in range(1, 41):
        async with college.client(f"192.0.2.{number}") as other:
            for _ in range(5):
                assert (await other.post(path, json=body)).status_code == 202
            assert (await other.post(path, json=body)).status_code == 429, "by its own asking"
            assert (await other.post(path, json=body | {"email": "t@school.example"})).status_code == 202
    mailed = await college.letters(30)
    async with college.client("198.51.100.1") as person:
        assert (await person.post(path, json=body)).status_code == 202
        link = re.search(r"http\S+", mailed[0].text)
        assert link
        assert (await person.post(link.group())).status_code == 303, "one that was mailed works"
    assert len(await college.letters(30)) == 30, "the mailbox is not filled either"


async def test_a_client_with_a_network_of_addresses_counts_once(college: Portal) -> None:
    body, path = {"institution": "qu-cdm", "email": "c@school.example"}, "/portal/api/v1/sign-in"
    answers = []
    for number in range(6):
        async with college.client(f"2001:db8:1:2::{number}") as client:
            answers.append((await client.post(path, json=body)).status_code)
    assert answers == [202] * 5 + [429]
    async with college.client("2001:db8:1:3::1") as neighbour:
        assert (await neighbour.post(path, json=body)).status_code == 202


async def test_a_session_is_renewed_while_the_sign_in_lives_and_not_after(college: Portal) -> None:
    async with college.signed_in("c@school.example") as browser:
        for _ in range(3):
            college.clock.advance(timedelta(minutes=11))
            assert (await browser.get("/portal/api/v1/institution")).status_code == 401
            assert (await browser.post("/portal/session/renew")).status_code == 204
            assert (await browser.get("/portal/api/v1/institution")).status_code == 200
        back = await browser.get("/portal/session/renew?next=/portal/people", headers={"Accept": "text/html"})
        assert (back.status_code, back.headers["Location"]) == (303, "/portal/people")
        form = await browser.post("/portal/session/renew?next=/portal/people/new", headers={"Accept": "text/html"})
        assert (form.status_code, form.headers["Location"]) == (307, "/portal/people/new")
        college.clock.advance(timedelta(hours=12))
        assert (await browser.post("/portal/session/renew")).status_code == 401


async def test_signing_out_ends_this_browsers_sign_in_only(college: Portal) -> None:
    async with college.signed_in("c@school.example") as here, college.signed_in("c@school.example") as there:
        kept = here.cookies["fh_signin"]
        assert (await here.post("/portal/sign-out")).status_code == 303
        assert "fh_staff" not in here.cookies
        here.cookies.set("fh_signin", kept)
        assert (await here.post("/portal/session/renew")).status_code == 401
        assert (await there.post("/portal/session/renew")).status_code == 204


async def test_a_deactivated_person_is_out_at_once(college: Portal) -> None:
    tutor_id = await college.person("t@school.example", "tutor")
    async with college.signed_in("t@school.example") as tutor, college.signed_in("c@school.example") as coordinator:
        assert (await tutor.get("/portal/api/v1/institution")).status_code == 200
        unused = await college.link("t@school.example")
        changed = await coordinator.patch(f"/portal/api/v1/people/{tutor_id}", json={"active": False})
        assert changed.json()["active"] is False
        assert (await tutor.get("/portal/api/v1/institution")).status_code == 401
        assert (await tutor.post("/portal/session/renew")).status_code == 401
        assert (await tutor.post(unused)).status_code == 410
        college.clock.advance(timedelta(seconds=2))
        await coordinator.patch(f"/portal/api/v1/people/{tutor_id}", json={"active": True})
        college.clock.advance(timedelta(seconds=2))
        assert (await tutor.post("/portal/session/renew")).status_code == 401, "the old sign-in stays over"


async def test_a_change_of_roles_counts_at_once(college: Portal) -> None:
    tutor_id = await college.person("t@school.example", "tutor")
    async with college.signed_in("t@school.example") as tutor, college.signed_in("c@school.example") as coordinator:
        await coordinator.patch(f"/portal/api/v1/people/{tutor_id}", json={"roles": ["tutor", "coordinator"]})
        assert (await tutor.get("/portal/api/v1/people")).status_code == 401
        college.clock.advance(timedelta(seconds=1))
        assert (await tutor.post("/portal/session/renew")).status_code == 204
        assert (await tutor.get("/portal/api/v1/people")).status_code == 200


async def test_signing_out_ends_a_session_also_when_what_renews_it_is_over(college: Portal) -> None:
    async with college.signed_in("c@school.example") as here:
        college.clock.advance(timedelta(hours=12, seconds=-1))
        assert (await here.post("/portal/session/renew")).status_code == 204
        token = here.cookies["fh_staff"]
        college.clock.advance(timedelta(minutes=5))
        del here.cookies["fh_signin"]  # as the browser does after 12 hours
        assert (await here.post("/portal/sign-out")).status_code == 303
    async with college.client(Authorization=f"Bearer {token}") as copied:
        assert (await copied.get("/portal/api/v1/people")).status_code == 401


async def test_who_creates_a_link_for_a_colleague_is_named_to_them_and_in_their_history(college: Portal) -> None:
    tutor_id = await college.person("t@school.example", "tutor")
    me = college.context
    async with college.signed_in("c@school.example") as coordinator, college.signed_in("t@school.example") as tutor:
        assert "created a sign-in link" not in (await tutor.get("/portal/today")).text
        made = await coordinator.post(f"/portal/people/{tutor_id}/link")
        assert made.status_code == 200
        assert f"{me.settings.address}/portal/sign-in/qu-cdm/" in made.text
        (letter,) = await college.letters(1)
        assert (letter.to, "Name of c@school.example" in letter.text) == ("t@school.example", True)
        assert "/portal/sign-in/" not in letter.text
        shown = (await tutor.get("/portal/today")).text
        assert "Someone created a sign-in link for you" in shown
        assert "Name of c@school.example" in shown
        history = (await coordinator.get(f"/portal/people/{tutor_id}")).text.split("Sign-in links that others created")[
            1
        ]
        assert "Name of c@school.example" in history
        assert "An operator of this system" in history, "who let the tutor in before"
        mine = (await coordinator.get("/portal/api/v1/people")).json()["items"]
        own = next(one["person_id"] for one in mine if one["email"] == "c@school.example")
        assert (await coordinator.post(f"/portal/people/{own}/link")).status_code == 200
        assert "Someone created" not in (await coordinator.get("/portal/today")).text, "one's own is no news"
        assert len(await college.letters(1)) == 1
        college.clock.advance(timedelta(days=15))
        assert "Someone created" not in (await tutor.get("/portal/today", follow_redirects=True)).text


async def test_an_operators_access_is_in_the_hands_of_operators_only(college: Portal) -> None:
    operator_id = await college.person("op@s.example", "operator", "coordinator")
    person, api = f"/portal/people/{operator_id}", f"/portal/api/v1/people/{operator_id}"
    async with college.signed_in("c@school.example") as coordinator, college.signed_in("op@s.example") as operator:
        page = await coordinator.get(person)
        assert "Only an operator can change" in page.text
        assert f"{person}/link" not in page.text
        refused = [
            await coordinator.post(f"{person}/link"),
            await coordinator.post(f"{person}/sign-out"),
            await coordinator.post(f"{person}/active", data={"active": "no"}),
            await coordinator.patch(api, json={"active": False}),
        ]
        assert [one.status_code for one in refused] == [403] * 4
        assert not any("/portal/sign-in/qu-cdm/" in one.text for one in refused)
        assert (await operator.get("/portal/people")).status_code == 200, "and is signed in as before"
        other = await college.person("op2@s.example", "operator")
        assert (await operator.patch(f"/portal/api/v1/people/{other}", json={"active": False})).status_code == 200
        assert (await coordinator.patch(api, json={"cohorts": []})).status_code == 200, "all else is the coordinators'"
        college.clock.advance(timedelta(seconds=1))
    async with college.signed_in("op@s.example") as operator:
        assert (await operator.post(f"/portal/people/{other}/active", data={"active": "yes"})).status_code == 303
        assert (await operator.post(f"/portal/people/{other}/link")).status_code == 200


async def test_coordinators_neither_make_operators_nor_lock_themselves_out(college: Portal) -> None:
    async with college.signed_in("c@school.example") as coordinator:
        body = {"name": "O", "email": "o@s.example", "roles": ["operator"]}
        assert (await coordinator.post("/portal/api/v1/people", json=body)).status_code == 403
        machine = {"name": "M", "email": "m@s.example", "roles": ["machine"]}
        assert (await coordinator.post("/portal/api/v1/people", json=machine)).status_code == 422
        (me,) = (await coordinator.get("/portal/api/v1/people")).json()["items"]
        for change in ({"active": False}, {"roles": ["tutor"]}, {"roles": ["coordinator", "operator"]}):
            refused = await coordinator.patch(f"/portal/api/v1/people/{me['person_id']}", json=change)
            assert refused.status_code in {403, 409}
        operator_id = await college.person("op@s.example", "operator", "tutor")
        kept = await coordinator.patch(f"/portal/api/v1/people/{operator_id}", json={"roles": ["student"]})
        assert kept.json()["roles"] == ["student", "operator"]


async def test_a_machine_acts_by_its_token_until_it_is_revoked_and_makes_nobody_who_could_do_more(
    college: Portal,
) -> None:
    async with college.signed_in("c@school.example") as coordinator:
        made = (await coordinator.post("/portal/api/v1/tokens", json={"label": "LMS", "days": 30})).json()
        assert made["expires_at"] == "2026-12-21T09:00:00Z"
        async with college.client(Authorization=f"Bearer {made['token']}") as machine:
            people = (await machine.get("/portal/api/v1/people")).json()["items"]
            (listed,) = (one for one in people if one["roles"] == ["machine"])
            assert listed["name"] == "LMS"
            assert (await machine.post("/portal/api/v1/tokens", json={"label": "more"})).status_code == 403
            for role, status in (("student", 201), ("tutor", 403), ("coordinator", 403)):
                new = {"name": "New", "email": f"{role}@s.example", "roles": [role]}
                assert (await machine.post("/portal/api/v1/people", json=new)).status_code == status
            gone = await coordinator.delete(f"/portal/api/v1/tokens/{listed['person_id']}")
            assert gone.status_code == 204
            assert (await machine.get("/portal/api/v1/people")).status_code == 401


async def test_two_institutions_see_nothing_of_each_other(college: Portal) -> None:
    await college.add("other-school")
    theirs = await college.person("c@school.example", "coordinator", slug="other-school")
    async with college.signed_in("c@school.example") as ours:
        people = (await ours.get("/portal/api/v1/people")).json()["items"]
        assert theirs not in {one["person_id"] for one in people}
        for method, path in (("GET", ""), ("GET", "/label"), ("PATCH", "")):
            json = {"active": False} if method == "PATCH" else None
            answer = await ours.request(method, f"/portal/api/v1/people/{theirs}{path}", json=json)
            assert answer.status_code == 404
        renewing = ours.cookies["fh_signin"].replace("qu-cdm", "other-school")
    async with college.client(Cookie=f"fh_signin={renewing}") as forged:
        assert (await forged.post("/portal/session/renew")).status_code == 401
    link = (await college.link("c@school.example")).replace("qu-cdm", "other-school")
    async with college.client() as browser:
        assert (await browser.post(link)).status_code == 410


async def test_policies_are_checked_and_told_to_the_services(college: Portal) -> None:
    async with college.signed_in("c@school.example") as coordinator:
        changed = await coordinator.put("/portal/api/v1/institution", json={"cool_off_days": 400, "slug": "x"})
        assert changed.json()["cool_off_days"] == 400
        assert changed.json()["slug"] == "qu-cdm"
        for wrong in ({"zone": "Nowhere"}, {"cool_off_days": 1}, {"reminder_after_days": 21}, {"country": "Qatar"}):
            assert (await coordinator.put("/portal/api/v1/institution", json=wrong)).status_code == 422
        cohort = {"label": "third-year students", "size": 25, "learns_until": "2027-06-30"}
        assert (await coordinator.put("/portal/api/v1/cohorts/year-3", json=cohort)).json() == {
            "id": "year-3",
            **cohort,
        }
        assert (await coordinator.get("/portal/api/v1/cohorts")).json()["items"] == [{"id": "year-3", **cohort}]


async def test_old_links_and_sign_ins_are_forgotten(college: Portal) -> None:
    await college.link("c@school.example")
    async with college.signed_in("c@school.example"):
        pass
    college.clock.advance(timedelta(hours=13))
    await college.deployment.running["portal"].timers.look()
    store, school = college.context.store, InstitutionId("qu-cdm")
    for kind in SERVICE.timers:
        assert await store.collection(kind, school).count() == 0


async def test_no_name_and_no_address_lies_in_the_data_in_the_open(college: Portal, tmp_path: Path) -> None:
    await college.person("canary.address@school.example", "tutor")
    await college.context.store.compact()
    content = b"".join(path.read_bytes() for path in (tmp_path / "data" / "db").rglob("*") if path.is_file())
    content += b"".join(path.read_bytes() for path in (tmp_path / "nats").rglob("*") if path.is_file())
    assert b"qu-cdm" in content
    assert b"canary" not in content
