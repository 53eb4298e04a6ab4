"""The pages of archive: what students, tutors and families read, and the form that works without JavaScript."""

import httpx
import pytest

from tests.archive import AKL, Archive
from tests.media import sound, video

PAGE = {"Accept": "text/html"}


async def send_form(archive: Archive, content: bytes, **who: str) -> httpx.Response:
    return await archive.http.post(
        "/archive/recordings/c1/upload",
        files={"note": (None, "passed over"), "recording": ("a name.mp4", content, "video/mp4")},
        headers={**PAGE, **(who or archive.tutor())},
    )


async def test_a_recording_is_taken_in_by_a_plain_form(archive: Archive) -> None:
    film = video(2)
    await archive.awaiting()
    answer = await send_form(archive, film)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/archive/recordings/c1?done=taken-in"
    await archive.until("recording.archived")
    shown = await archive.until_answer(200, "/archive/family/media", archive.family())
    assert shown.content == await archive.shown()
    page = await archive.http.get(answer.headers["location"], headers=archive.tutor())
    assert "The recording is uploaded and encrypted." in page.text
    assert "a name.mp4" not in page.text


async def test_a_form_with_something_else_says_so_and_keeps_nothing(archive: Archive) -> None:
    await archive.awaiting()
    refused = await send_form(archive, b"a letter " * 1000)
    assert refused.status_code == 422
    assert "cannot play this file as video or sound" in refused.text
    assert (await send_form(archive, b"")).status_code == 422
    assert archive.media_files() == []
    assert (await send_form(archive, sound(), **archive.tutor(AKL))).status_code == 404
    assert (await send_form(archive, sound(), **archive.student())).status_code == 403


@pytest.mark.parametrize("language", ["en", "ar", "es"])
async def test_every_page_is_there_in_every_language(archive: Archive, language: str) -> None:
    asked = f"?lang={language}"

    async def read(path: str, who: dict[str, str]) -> str:
        answer = await archive.http.get(path + asked, headers={**PAGE, **who})
        assert answer.status_code == 200, path
        assert f'lang="{language}"' in answer.text
        return answer.text

    await archive.beat()
    await archive.until_answer(200, "/archive/recordings", {**PAGE, **archive.student()})
    for path, who in (
        ("/archive/recordings", archive.student()),
        ("/archive/recordings", archive.tutor()),
        ("/archive/family", archive.family()),
    ):
        assert 'class="empty"' in await read(path, who)
    await archive.released(sound())
    assert "/archive/watch/c1" in await read("/archive/recordings", archive.student())
    assert "/archive/recordings/c1" in await read("/archive/recordings", archive.tutor())
    assert "/archive/watch/c1" in await read("/archive/recordings/c1", archive.tutor())
    assert "<audio" in await read("/archive/watch/c1", archive.student())
    assert "/archive/family/media" in await read("/archive/family", archive.family())


async def test_a_page_tells_the_true_reason_why_nothing_is_shown(archive: Archive) -> None:
    await archive.released(sound())
    await archive.withdraw()
    closed = await archive.until_answer(404, "/archive/watch/c1", {**PAGE, **archive.student()})
    assert "Families decide who can watch" in closed.text
    await archive.say(999)
    unsure = await archive.until_answer(503, "/archive/watch/c1", {**PAGE, **archive.student()})
    assert "The family has not changed anything" in unsure.text


async def test_a_place_that_is_none_in_the_list_is_said_so(archive: Archive) -> None:
    answer = await archive.http.get("/archive/api/v1/recordings?after=nowhere", headers=archive.tutor())
    assert answer.status_code == 400
