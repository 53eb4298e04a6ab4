"""Copies that staff has elsewhere: somebody is asked to destroy them, and says so, also once all is erased here."""

import asyncio

from tests.archive import AKL, Archive
from tests.patience import PATIENCE

ONE = "/archive/recordings/c1"
API = "/archive/api/v1/recordings/c1"
PLACES = {"devices": "yes", "provider": "yes", "elsewhere": "yes"}


async def copies(archive: Archive) -> str | None:
    told: str | None = (await archive.http.get(API, headers=archive.tutor())).json()["copies"]
    return told


async def confirm(archive: Archive, headers: dict[str, str] | None = None) -> int:
    sent = await archive.http.post(f"{API}/copies/destroyed", headers=headers or archive.tutor())
    return sent.status_code


async def test_after_a_release_a_tutor_confirms_that_copies_elsewhere_are_destroyed(
    archive: Archive, film: bytes
) -> None:
    await archive.awaiting()
    assert await confirm(archive) == 409, "nothing was brought"
    await archive.upload(film)
    sha = (await archive.until("recording.archived")).data.sha256
    assert (await copies(archive), await confirm(archive)) == (None, 409), "they may still be needed"
    await archive.consent("ConsentReleasedV1", released=True, released_sha256=sha)
    assert (await archive.until("recording.published")).data.copies == "to-destroy"
    for who in (archive.student(), archive.tutor(AKL), archive.tutor(person="tutor9")):
        assert await confirm(archive, who) in (403, 404)

    page = {"Accept": "text/html", **archive.tutor()}
    assert "Destroy your own copies" in (await archive.http.get(ONE, headers=page)).text
    left = await archive.http.post(f"{ONE}/copies", headers=page, data={**PLACES, "provider": ""})
    assert left.status_code == 422
    assert "Confirm all three places." in left.text
    assert await copies(archive) == "to-destroy"
    done = await archive.http.post(f"{ONE}/copies", headers=page, data=PLACES)
    assert done.status_code == 303
    told = await archive.until("recording.changed")
    assert (told.data.copies, told.actor, told.data.state) == ("destroyed", "tutor1", "released")
    assert "Copies elsewhere were destroyed" in (await archive.http.get(ONE, headers=page)).text
    assert await confirm(archive) == 409, "once"
    await archive.withdraw()
    await archive.consent("ErasureRequestedV1", "withdrawn", erasure_id="e1")
    erased = (await archive.until("archive.erased")).data
    assert (erased.out_of_reach, "staff-copies" in erased.erased) == ([], True)


async def test_after_an_erasure_the_copies_elsewhere_are_still_asked_for(archive: Archive, film: bytes) -> None:
    await archive.awaiting()
    await archive.upload(film)
    await archive.until("recording.archived")
    await archive.withdraw()
    assert (await archive.until("recording.withdrawn")).data.copies == "to-destroy"
    await archive.consent("ErasureRequestedV1", "withdrawn", erasure_id="e1")
    assert (await archive.until("archive.erased")).data.out_of_reach == ["staff-copies"]
    async with asyncio.timeout(PATIENCE):
        while await copies(archive) != "to-destroy":  # noqa: ASYNC110 - told over HTTP
            await asyncio.sleep(0.02)
    page = await archive.http.get(ONE, headers={"Accept": "text/html", **archive.tutor()})
    assert "Destroy your own copies" in page.text
    assert await confirm(archive) == 200
    told = await archive.until("recording.changed")
    assert (told.data.state, told.data.copies, told.data.sha256) == ("erased", "destroyed", "")


async def test_where_nothing_was_brought_nothing_is_asked(archive: Archive) -> None:
    await archive.awaiting()
    await archive.withdraw()
    assert (await archive.until("recording.withdrawn")).data.copies is None


async def test_a_file_that_is_brought_later_has_copies_again(archive: Archive, film: bytes) -> None:
    await archive.awaiting()
    await archive.upload(film)
    sha = (await archive.until("recording.archived")).data.sha256
    await archive.consent("ConsentReleasedV1", released=True, released_sha256=sha)
    await archive.until("recording.published")
    assert await confirm(archive) == 200
    await archive.consent("ConsentChangedV1", released=False)
    async with asyncio.timeout(PATIENCE):
        while (await archive.http.get(API, headers=archive.tutor())).json()["state"] != "held":  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await archive.upload(film)
    sha = (await archive.until("recording.archived", 2)).data.sha256
    await archive.consent("ConsentReleasedV1", released=True, released_sha256=sha)
    assert (await archive.until("recording.published", 2)).data.copies == "to-destroy"
