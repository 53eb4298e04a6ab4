"""What is said, written down: nobody but the family reads it before its yes, and a no to it leaves nothing."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from bench.search import Hour, seed
from firsthand.services.archive.handlers import searching
from firsthand.services.archive.handlers.searching import WordIndex
from firsthand.services.archive.handlers.transcripts import carry_transcripts
from firsthand.services.archive.model import Edit, Transcript
from firsthand.services.archive.model.captions import Lines
from firsthand.services.archive.repository import Recordings, Transcripts
from tests.archive import FULL, QU, Archive, served
from tests.patience import PATIENCE
from tests.recordings import Picture, Sound, made

WORDS = [*FULL, "transcript"]
TUTOR, FAMILY = "/archive/api/v1/recordings/c1/transcripts", "/archive/api/v1/family/transcripts"
WATCH = "/archive/api/v1/watch/c1/transcripts"
CANARY = "Quetzalcoatl"
CAPTIONS = f"""WEBVTT

1
00:00:00.500 --> 00:00:01.500
María García: We live in {CANARY}.

2
00:00:02.000 --> 00:00:04.000
María García: The first night he did not drink.

3
00:00:05.000 --> 00:00:07.000
Student: What did you do?
"""
AN_HOUR = b"WEBVTT\n\n" + b"".join(b"00:%02d:00.000 --> 00:%02d:01.000\nx\n\n" % (n, n) for n in range(60))


@pytest.fixture(scope="session")
def ten_seconds() -> bytes:
    return made("mp4", Picture(), Sound(), seconds=10)


async def bring(archive: Archive, text: str = CAPTIONS, language: str = "en", **query: str) -> httpx.Response:
    return await archive.http.put(f"{TUTOR}/{language}", headers=archive.tutor(), content=text.encode(), params=query)


async def for_family(archive: Archive, language: str = "en") -> dict[str, Any]:
    found: dict[str, Any] = (await archive.http.get(f"{FAMILY}/{language}", headers=archive.family())).json()
    return found


async def approve(archive: Archive, language: str = "en") -> httpx.Response:
    seen = (await for_family(archive, language))["seen"]
    answer = await archive.http.post(f"{FAMILY}/{language}/approve", headers=archive.family(), json={"seen": seen})
    assert answer.status_code == 204, answer.text
    return answer


async def read(archive: Archive, language: str = "en") -> httpx.Response:
    return await archive.http.get(f"{WATCH}/{language}", headers=archive.student())


async def found(archive: Archive, words: str, headers: dict[str, str] | None = None) -> list[dict[str, Any]]:
    answer = await archive.http.get("/archive/api/v1/search", params={"q": words}, headers=headers or archive.student())
    assert answer.status_code == 200, answer.text
    assert answer.json()["complete"]
    shown: list[dict[str, Any]] = answer.json()["found"]
    return shown


async def kept(archive: Archive) -> list[Transcript]:
    return await Transcripts(archive.context, QU).all_of("c1")


async def until_gone(archive: Archive) -> None:
    async with asyncio.timeout(PATIENCE):
        while await kept(archive):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_what_is_said_is_read_by_the_family_first_and_by_others_after_its_yes(
    archive: Archive, ten_seconds: bytes
) -> None:
    await archive.released(ten_seconds, scopes=WORDS)
    brought = await bring(archive)
    assert brought.status_code == 200, brought.text
    assert (brought.json()["lines"], brought.json()["waits"], brought.json()["shown"]) == (3, True, False)
    assert (await read(archive)).status_code == 404
    assert await found(archive, "night") == []
    own = await for_family(archive)
    assert [(line["speaker"], line["start"]) for line in own["lines"]] == [
        ("María García", 500), ("María García", 2000), ("Student", 5000),
    ]  # fmt: skip

    waiting = await archive.until("recording.changed")
    assert (waiting.data.transcript, waiting.actor, waiting.data.state) == ("proposed", "tutor1", "released")
    await approve(archive)
    assert (await archive.until("recording.changed", 2)).data.transcript == "approved"
    lines = (await read(archive)).json()["lines"]
    assert lines[1]["text"] == "The first night he did not drink."
    captions = await archive.http.get("/archive/captions/c1/en/vtt", headers=archive.student())
    assert captions.headers["content-type"].startswith("text/vtt")
    assert captions.headers["cache-control"] == "no-store"
    assert captions.text.startswith("WEBVTT\n\n00:00:00.500 --> 00:00:01.500\n<v María García>We live in")
    (one,) = await found(archive, "NIGHT first")
    assert (one["recording"]["contact_id"], [line["at"] for line in one["lines"]]) == ("c1", [2000])

    # New captions wait again, and what was approved stays.
    await bring(archive, CAPTIONS.replace("night", "morning"))
    assert "night" in (await read(archive)).text
    assert "morning" in json.dumps(await for_family(archive))
    assert await found(archive, "morning") == []
    await approve(archive)
    assert await found(archive, "night") == []
    assert len(await found(archive, "morning")) == 1


async def test_a_family_approves_what_it_has_read_and_nothing_that_came_meanwhile(
    archive: Archive, ten_seconds: bytes
) -> None:
    await archive.released(ten_seconds, scopes=WORDS)
    await bring(archive)
    seen = (await for_family(archive))["seen"]
    await bring(archive, CAPTIONS.replace("night", "morning"))
    late = await archive.http.post(f"{FAMILY}/en/approve", headers=archive.family(), json={"seen": seen})
    assert (late.status_code, late.json()["type"]) == (409, "urn:firsthand:archive:changed")
    assert (await read(archive)).status_code == 404


async def test_a_family_changes_a_line_takes_one_out_and_silences_one(archive: Archive, ten_seconds: bytes) -> None:
    await archive.awaiting(scopes=WORDS)
    await archive.upload(ten_seconds)
    await archive.until("recording.archived")
    await bring(archive)

    async def put(number: int, text: str, act: str = "change") -> None:
        seen = (await for_family(archive))["seen"]
        done = await archive.http.put(
            f"{FAMILY}/en/lines/{number}", headers=archive.family(), json={"seen": seen, "text": text, "act": act}
        )
        assert done.status_code == 204, done.text

    await put(0, "We live far away.")
    await put(2, "")
    await approve(archive)
    lines = (await for_family(archive))["lines"]
    assert [line["text"] for line in lines] == ["We live far away.", "The first night he did not drink."]
    await put(1, "", "silence")
    editing = (await archive.http.get("/archive/api/v1/family/editing", headers=archive.family())).json()
    assert editing["draft"] == [{"kind": "silence", "start": 2000, "end": 4000, "area": None}]
    await archive.http.post("/archive/api/v1/family/versions", headers=archive.family())
    sha = (await archive.until("recording.archived", 2)).data.sha256
    after = await for_family(archive)
    assert [line["text"] for line in after["lines"]] == ["We live far away."]
    assert not after["waits"]

    await archive.consent("ConsentReleasedV1", scopes=WORDS, released=True, released_sha256=sha)
    await archive.until("recording.published")
    await archive.until_answer(200, f"{WATCH}/en", archive.student())
    assert await found(archive, CANARY) == []
    assert len(await kept(archive)) == 1, "of earlier versions nothing is left"


async def test_captions_follow_what_is_cut_and_come_back_with_an_earlier_version(
    archive: Archive, ten_seconds: bytes
) -> None:
    await archive.awaiting(scopes=WORDS)
    await archive.upload(ten_seconds)
    await archive.until("recording.archived")
    await bring(archive)
    cut = {"kind": "cut", "start": 0, "end": 1600}
    await archive.http.put("/archive/api/v1/family/edits", headers=archive.family(), json={"edits": [cut]})
    await archive.http.post("/archive/api/v1/family/versions", headers=archive.family())
    await archive.until("recording.archived", 2)
    lines = (await for_family(archive))["lines"]
    assert [(line["start"], line["end"]) for line in lines] == [(400, 2400), (3400, 5400)]
    editing = (await archive.http.get("/archive/api/v1/family/editing", headers=archive.family())).json()
    file = editing["earlier"][0]["file"]
    back = await archive.http.post(
        "/archive/api/v1/family/versions/back", headers=archive.family(), json={"file": file}
    )
    assert back.status_code == 200
    assert len((await for_family(archive))["lines"]) == 3
    assert len(await kept(archive)) == 1


async def test_captions_that_come_with_the_file_wait_until_it_is_prepared(archive: Archive, ten_seconds: bytes) -> None:
    await archive.awaiting(scopes=WORDS)
    early = await bring(archive)
    assert (early.status_code, early.json()["type"]) == (409, "urn:firsthand:archive:no-recording")
    await archive.upload(ten_seconds)
    assert (await bring(archive)).status_code == 200  # before or after it is prepared
    await archive.until("recording.archived")
    assert len((await for_family(archive))["lines"]) == 3


@pytest.mark.parametrize("narrowed", ["transcript", "all"])
async def test_where_the_family_takes_the_text_back_nothing_of_it_is_left(
    archive: Archive, ten_seconds: bytes, narrowed: str
) -> None:
    sha = await archive.released(ten_seconds, scopes=WORDS)
    await bring(archive)
    await approve(archive)
    assert len(await found(archive, CANARY)) == 1
    if narrowed == "transcript":
        await archive.consent("ConsentChangedV1", scopes=FULL, released=True, released_sha256=sha)
        await archive.until_answer(404, f"{WATCH}/en", archive.student())
        assert (await archive.http.get("/archive/media/c1", headers=archive.student())).status_code == 200
        assert await found(archive, CANARY) == []
        await until_gone(archive)
        plays = await archive.http.get("/archive/api/v1/recordings/c1/plays", headers=archive.student())
        assert plays.json()["reads"] is False
        refused = await bring(archive)
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:firsthand:archive:not-allowed")
        await archive.consent("ConsentChangedV1", scopes=WORDS, released=True, released_sha256=sha)
        await archive.until_answer(404, f"{WATCH}/en", archive.student())
    else:
        await archive.withdraw()
        await archive.until_answer(404, f"{WATCH}/en", archive.student())
        assert await found(archive, CANARY) == []
        own = await archive.http.get(f"{FAMILY}/en", headers=archive.family())
        assert own.status_code == 200, "it is the family's, until it is erased"
        await archive.consent("ErasureRequestedV1", "erased", erasure_id="e1")
        erased = await archive.until("archive.erased")
        assert "transcripts" in erased.data.erased
        assert await kept(archive) == []
        shelf = archive.context.own(WordIndex)._shelves[QU]
        assert (shelf.entries, shelf.having, shelf.numbers) == ({}, {}, {})


async def test_no_word_of_it_lies_in_the_clear_and_erasure_leaves_none(archive: Archive, ten_seconds: bytes) -> None:
    await archive.released(ten_seconds, scopes=WORDS)
    await bring(archive)
    await approve(archive)
    await bring(archive, CAPTIONS.replace("night", "morning"))
    assert len(await found(archive, CANARY)) == 1
    data = archive.deployment.settings.data
    words = [word.encode() for word in (CANARY, CANARY.casefold(), "García", "morning")]
    for path in data.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [word for word in words if word in content], path


async def test_search_finds_only_what_this_viewer_may_watch_and_read_now(archive: Archive, ten_seconds: bytes) -> None:
    await archive.released(ten_seconds, scopes=WORDS)
    await bring(archive)
    await approve(archive)
    assert len(await found(archive, CANARY)) == 1
    assert len(await found(archive, CANARY, archive.tutor())) == 1  # who guides those who learn from it
    for stranger in (archive.student("year-1"), archive.tutor(person="tutor9")):
        assert await found(archive, CANARY, stranger) == []
        assert (await archive.http.get(f"{WATCH}/en", headers=stranger)).status_code == 404
    other = archive.student(institution="akl-dent")  # type: ignore[arg-type]
    assert await found(archive, CANARY, other) == []
    assert (await archive.http.get(f"{WATCH}/en", headers=other)).status_code == 404
    await archive.consent("ConsentChangedV1", "paused", scopes=[])
    await archive.until_answer(404, f"{WATCH}/en", archive.student())
    assert await found(archive, CANARY) == []
    assert await found(archive, "   … ") == []


async def test_an_index_that_lags_behind_shows_nothing_of_what_is_gone(archive: Archive, ten_seconds: bytes) -> None:
    """As on another replica, where nobody tells it that a transcript was removed."""
    await archive.released(ten_seconds, scopes=WORDS)
    await bring(archive)
    await approve(archive)
    assert len(await found(archive, CANARY)) == 1
    (transcript,) = await kept(archive)
    await Transcripts(archive.context, QU).delete(transcript)
    assert await found(archive, CANARY) == []
    assert archive.context.own(WordIndex)._shelves[QU].having == {}


@pytest.mark.parametrize(
    ("content", "code", "status"),
    [
        (b"\xff\xd8\xff\xe0 a picture", "not-unicode", 422),
        (b"Dear tutor, thank you", "no-captions", 422),
        (b"", "no-captions", 422),
        (b"WEBVTT\n\nNOTE nothing here\n", "no-captions", 422),
        (b"WEBVTT\n\n00:00:02.000 --> 00:00:01.000\nbackwards\n", "no-captions", 422),
        (AN_HOUR, "longer", 422),
        (b"WEBVTT\n\n" + b"x" * (2 * 1024**2), "too-large", 413),
    ],
)  # fmt: skip
async def test_what_are_no_captions_of_this_recording_is_refused_in_words(
    archive: Archive, ten_seconds: bytes, content: bytes, code: str, status: int
) -> None:
    await archive.released(ten_seconds, scopes=WORDS)
    refused = await archive.http.put(f"{TUTOR}/en", headers=archive.tutor(), content=content)
    assert (refused.status_code, refused.json()["type"]) == (status, f"urn:firsthand:archive:{code}")
    assert await kept(archive) == []


async def test_captions_are_served_over_a_real_socket_and_end_with_a_withdrawal_within_a_second(
    archive: Archive, ten_seconds: bytes
) -> None:
    await archive.released(ten_seconds, scopes=WORDS)
    await bring(archive)
    await approve(archive)
    async with served(archive) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as browser:
        place = "/archive/captions/c1/en/srt"
        assert "1\n00:00:00,500" in (await browser.get(place, headers=archive.student())).text
        await archive.withdraw()
        loop = asyncio.get_running_loop()
        told_at = loop.time()
        while (await browser.get(place, headers=archive.student())).status_code != 404:
            assert loop.time() - told_at < PATIENCE
        assert (await browser.get("/archive/api/v1/search?q=night", headers=archive.student())).json()["found"] == []


async def test_pages_of_what_is_found_follow_each_other_and_hold_everything_once(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As well where so many have the words that they are not sorted for each question."""
    monkeypatch.setattr(searching, "_FEW", 10)
    hours = [Hour(number) for number in range(20)]
    await seed(archive, len(hours))
    await archive.consent("ConsentGrantedV1", scopes=WORDS)
    await archive.until_answer(200, f"/archive/api/v1/recordings/{hours[0].contact_id}/plays", archive.student())
    common = max(set(" ".join(hours[0].lines()).split()), key=" ".join(hours[0].lines()).split().count)
    for words in (common, " ".join(hours[3].lines()[5].split()[:3])):
        wanted = {hour.contact_id for hour in hours if set(words.split()) <= set(" ".join(hour.lines()).split())}
        pages, after = [], ""
        while True:
            query = {"q": words} | ({"after": after} if after else {})
            answer = (await archive.http.get("/archive/api/v1/search", params=query, headers=archive.student())).json()
            pages.append([one["recording"]["contact_id"] for one in answer["found"]])
            if not (after := answer["next"]):
                break
        assert [one for page in pages for one in page] == sorted(wanted)
        assert all(pages)
    for rubbish in ("x", "~", "nan~", "1e999~x"):
        sent = await archive.http.get(
            "/archive/api/v1/search", params={"q": common, "after": rubbish}, headers=archive.student()
        )
        assert sent.status_code in (200, 400)


async def test_a_transcript_that_nobody_can_open_any_more_is_looked_at_once(
    archive: Archive, ten_seconds: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a release that knows of no transcripts leaves one behind when it erases a contact."""
    await archive.released(ten_seconds, scopes=WORDS)
    await bring(archive)
    await approve(archive)
    await archive.context.vault.erase(QU, "c1")
    assert await found(archive, CANARY) == []
    looks: list[Any] = []
    shown_since = Transcripts.shown_since

    async def counted(self: Transcripts, *of: Any) -> Any:
        looks.append(of)
        return await shown_since(self, *of)

    monkeypatch.setattr(Transcripts, "shown_since", counted)
    assert await found(archive, CANARY) == []
    assert len(looks) == 1, "what changed lately, and not all of it"


async def test_a_version_that_is_begun_anew_has_the_text_as_the_family_left_it_meanwhile(
    archive: Archive, ten_seconds: bytes
) -> None:
    """As after a crash between carrying the text over and holding the version."""
    await archive.awaiting(scopes=WORDS)
    await archive.upload(ten_seconds)
    await archive.until("recording.archived")
    await bring(archive)
    recording = await Recordings(archive.context, QU).get("c1")
    assert recording
    recording.propose([Edit(kind="silence", start=5000, end=7000)])
    version = recording.begin_edit(archive.clock.now())
    await carry_transcripts(archive.context, recording, version)
    seen = (await for_family(archive))["seen"]
    line = {"seen": seen, "text": "We live far away."}
    await archive.http.put(f"{FAMILY}/en/lines/0", headers=archive.family(), json=line)
    await carry_transcripts(archive.context, recording, version)
    (carried,) = await Transcripts(archive.context, QU).of("c1", version.id)
    assert carried.proposed
    field = carried.field("proposed")
    text = await archive.context.vault.open(QU, "c1", field, carried.proposed)
    assert [cue.text for cue in Lines.unsealed(text).cues()] == [
        "We live far away.", "The first night he did not drink.",
    ]  # fmt: skip
