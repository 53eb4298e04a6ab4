"""Changing a recording before its release: by the family itself, and by the tutor on its behalf."""

import asyncio
import io
from datetime import timedelta
from fractions import Fraction
from typing import Any

import av
import httpx
import numpy as np
import pytest

from firsthand.services.archive.handlers.versions import Workshop, tidy
from firsthand.services.archive.repository import Recordings, Versions
from tests.archive import AKL, QU, Archive
from tests.recordings import Picture, Sound, made

PAGE = {"Accept": "text/html"}
FAMILY, TUTOR = "/archive/api/v1/family", "/archive/api/v1/recordings/c1"
CUT = {"kind": "cut", "start": 2000, "end": 4500}
SILENCE = {"kind": "silence", "start": 500, "end": 1500}


@pytest.fixture(scope="session")
def ten_seconds() -> bytes:
    return made("mp4", Picture(), Sound(), seconds=10)


async def held(archive: Archive, content: bytes, **consent: Any) -> None:
    await archive.awaiting(**consent)
    await archive.upload(content)
    await archive.until("recording.archived")
    await archive.until_files(2)


async def propose(archive: Archive, *edits: dict[str, Any]) -> httpx.Response:
    return await archive.http.put(f"{FAMILY}/edits", headers=archive.family(), json={"edits": edits})


async def make(archive: Archive) -> httpx.Response:
    return await archive.http.post(f"{FAMILY}/versions", headers=archive.family())


def length_of(content: bytes) -> float:
    with av.open(io.BytesIO(content)) as container:
        return float((container.duration or 0) / 1e6)


def levels(content: bytes, *at: float) -> list[float]:
    """How loud it is at these seconds, from 0 to 1."""
    found = []
    with av.open(io.BytesIO(content)) as container:
        frames = [frame for frame in container.decode(container.streams.audio[0]) if isinstance(frame, av.AudioFrame)]
    for second in at:
        frame = next(one for one in frames if one.time is not None and one.time + 0.02 >= second)
        found.append(max(abs(sample) for sample in memoryview(frame.planes[0]).cast("B").cast("f")))
    return found


async def test_a_family_takes_something_out_and_silences_something(archive: Archive, ten_seconds: bytes) -> None:
    await held(archive, ten_seconds)
    before = (await archive.until("recording.archived")).data.sha256
    kept = await propose(archive, CUT, SILENCE, {"kind": "cut", "start": 9000, "end": 99_000})
    assert kept.status_code == 200
    drafted = [(edit["start"], edit["end"]) for edit in kept.json()["draft"]]
    assert drafted[:2] == [(500, 1500), (2000, 4500)]
    assert drafted[2] == (9000, pytest.approx(10_000, abs=50))  # up to the end, and no further
    assert len([event for event in archive.told if event.type == "firsthand.recording.archived.v1"]) == 1
    assert (await make(archive)).status_code == 202
    after = (await archive.until("recording.archived", 2)).data
    assert after.sha256 != before
    shown = await archive.shown()
    assert length_of(shown) == pytest.approx(6.5, abs=0.1)
    quiet = levels(shown, 0.3, 0.7, 1.0, 1.3, 1.7, 3.0)
    assert [level > 0.1 for level in quiet] == [True, False, False, False, True, True]
    now = (await archive.http.get(f"{FAMILY}/editing", headers=archive.family())).json()
    assert (now["draft"], len(now["edits"]), len(now["earlier"])) == ([], 3, 1)


async def test_a_place_that_becomes_free_while_a_version_is_put_off_is_taken_at_once(
    archive: Archive, ten_seconds: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await held(archive, ten_seconds)
    await propose(archive, CUT)
    with monkeypatch.context() as full:
        full.setattr(Workshop, "has_place", False)
        assert (await make(archive)).status_code == 202
    (version,) = [one for one in await Versions(archive.context, QU).all_of("c1") if one.stage == "waiting"]
    archive.context.own(Workshop).remember(version)
    await archive.until("recording.archived", 2)


async def test_whoever_tidies_up_late_takes_nothing_that_was_begun_meanwhile(
    archive: Archive, ten_seconds: bytes
) -> None:
    await held(archive, ten_seconds)
    before = await Recordings(archive.context, QU).get("c1")
    assert before
    await propose(archive, CUT)
    assert (await make(archive)).status_code == 202
    await tidy(archive.context, before)
    assert await Versions(archive.context, QU).all_of("c1")
    await archive.until("recording.archived", 2)


LEFT = {"left": 0, "top": 0, "width": 500, "height": 1000}


def stripes_left(content: bytes) -> list[tuple[float, bool, bool]]:
    """When each picture is shown, in seconds, and whether stripes are to be seen in its left and in its right half."""
    found = []
    with av.open(io.BytesIO(content)) as container:
        for frame in container.decode(container.streams.video[0]):
            assert frame.time is not None
            plane = frame.planes[0]
            lines = memoryview(plane)
            line = bytes(lines[plane.line_size * (frame.height // 3) :][: frame.width])
            half = frame.width // 2
            spread = [max(part) - min(part) for part in (line[8 : half - 16], line[half + 16 : -8])]
            assert all(one < 60 or one > 120 for one in spread), (frame.time, spread)
            found.append((frame.time, spread[0] > 120, spread[1] > 120))
    return found


async def blurred(archive: Archive, content: bytes, **edit: Any) -> list[tuple[float, bool, bool]]:
    await held(archive, content)
    assert (await propose(archive, {"kind": "blur", **edit})).status_code == 200
    assert (await make(archive)).status_code == 202
    await archive.until("recording.archived", 2)
    return stripes_left(await archive.shown())


async def test_a_part_of_the_picture_is_blurred_for_exactly_as_long_as_the_family_wants(archive: Archive) -> None:
    content = made("mp4", Picture(stripes=0), Sound(), seconds=5)
    seen = await blurred(archive, content, start=2000, end=3500, area=LEFT)
    assert {(left, right) for at, left, right in seen if at <= 1.9 or at >= 3.5} == {(True, True)}
    assert {(left, right) for at, left, right in seen if 2.0 <= at < 3.5} == {(False, True)}
    assert len(seen) == 125
    sound = length_of(await archive.shown())
    assert sound == pytest.approx(5, abs=0.1)


async def test_a_picture_that_was_shown_before_and_still_is_gets_blurred(archive: Archive) -> None:
    slow = Picture(stripes=0, times=lambda index: Fraction(2 * index))  # as a shared screen is recorded
    seen = await blurred(archive, made("mp4", slow, Sound(), seconds=9), start=3000, end=3200)
    assert [(round(at), left, right) for at, left, right in seen] == [
        (0, True, True),
        (2, False, False),
        (4, True, True),
        (6, True, True),
        (8, True, True),
    ]


async def test_the_voices_are_changed_and_the_picture_stays_as_it_is(archive: Archive, ten_seconds: bytes) -> None:
    await held(archive, ten_seconds)
    before = await archive.shown()
    assert (await propose(archive, {"kind": "voice", "start": 3, "end": 4})).status_code == 200
    assert (await make(archive)).status_code == 202
    await archive.until("recording.archived", 2)
    after = await archive.shown()
    assert length_of(after) == pytest.approx(length_of(before), abs=0.05)
    assert pictures_of(after) == pictures_of(before)
    tone, now = (strongest(content) for content in (before, after))
    assert tone == pytest.approx(330, abs=5)
    assert abs(now / tone - 1) > 0.1  # another pitch


def pictures_of(content: bytes) -> list[bytes]:
    with av.open(io.BytesIO(content)) as container:
        return [bytes(packet) for packet in container.demux(container.streams.video[0]) if packet.size]


def strongest(content: bytes) -> float:
    """The strongest tone after three seconds, in Hz."""
    with av.open(io.BytesIO(content)) as container:
        frames = [one for one in container.decode(container.streams.audio[0]) if isinstance(one, av.AudioFrame)]
    sound = np.concatenate([one.to_ndarray()[0] for one in frames])[3 * 48_000 :][: 2 * 48_000]
    return float(np.argmax(np.abs(np.fft.rfft(sound * np.hanning(len(sound)))))) / 2


@pytest.mark.parametrize(
    ("content", "edit", "code"),
    [
        (made("mp4", Sound(), seconds=2), {"kind": "blur", "start": 0, "end": 1000}, "no-picture"),
        (made("mp4", Sound(), seconds=2), {"kind": "no-picture", "start": 0, "end": 0}, "no-picture"),
        (made("mp4", Picture(), seconds=2), {"kind": "voice", "start": 0, "end": 0}, "no-sound"),
        (made("mp4", Picture(), seconds=2), {"kind": "no-picture", "start": 0, "end": 0}, "nothing-left"),
    ],
)  # fmt: skip
async def test_nothing_is_changed_that_is_not_there(
    archive: Archive, content: bytes, edit: dict[str, Any], code: str
) -> None:
    await held(archive, content)
    assert (await propose(archive, edit)).json()["type"] == f"urn:firsthand:archive:{code}"


async def test_an_earlier_version_can_be_used_again_until_the_release_and_is_gone_then(
    archive: Archive, ten_seconds: bytes
) -> None:
    await held(archive, ten_seconds)
    first = (await archive.until("recording.archived")).data.sha256
    await propose(archive, CUT)
    await make(archive)
    await archive.until("recording.archived", 2)
    now = (await archive.http.get(f"{FAMILY}/editing", headers=archive.family())).json()
    (earlier,) = now["earlier"]
    back = await archive.http.post(f"{FAMILY}/versions/back", headers=archive.family(), json={"file": earlier["file"]})
    assert (back.status_code, back.json()["earlier"], back.json()["edits"]) == (200, [], [])
    assert (await archive.until("recording.archived", 3)).data.sha256 == first
    await archive.until_files(2)  # the later version is deleted
    again = await archive.http.post(f"{FAMILY}/versions/back", headers=archive.family(), json={"file": "no"})
    assert again.json()["type"] == "urn:firsthand:archive:no-such-version"

    await propose(archive, SILENCE)
    await make(archive)
    last = (await archive.until("recording.archived", 4)).data.sha256
    await archive.consent("ConsentReleasedV1", released=True, released_sha256=last)
    await archive.until("recording.published")
    await archive.until_files(1)  # of the original and of earlier versions nothing is left
    assert (await propose(archive, CUT)).json()["type"] == "urn:firsthand:archive:nothing-to-edit"


async def test_a_picture_that_is_no_longer_allowed_is_taken_out_by_the_tutor(
    archive: Archive, ten_seconds: bytes
) -> None:
    await held(archive, ten_seconds)
    await archive.consent("ConsentChangedV1", scopes=["meet", "record-audio", "share-cohort"])
    assert (await archive.until("recording.changed")).data.refused_because == "wider-than-allowed"
    edit = {"kind": "no-picture", "start": 0, "end": 0}
    put = await archive.http.put(f"{TUTOR}/edits", headers=archive.tutor(), json={"edits": [edit]})
    assert put.status_code == 200, put.text
    assert (await archive.http.post(f"{TUTOR}/versions", headers=archive.tutor())).status_code == 202
    sound = (await archive.until("recording.archived", 2)).data
    assert (sound.media, sound.refused_because) == ("audio", None)


@pytest.mark.parametrize(
    ("edits", "code"),
    [
        ([{"kind": "cut", "start": 4000, "end": 4000}], "no-stretch"),
        ([{"kind": "cut", "start": 5000, "end": 4000}], "no-stretch"),
        ([{"kind": "silence", "start": 10_500, "end": 11_000}], "no-stretch"),
        ([{"kind": "cut", "start": 0, "end": 9500}], "nothing-left"),
        ([{"kind": "cut", "start": 0, "end": 6000}, {"kind": "cut", "start": 5000, "end": 10_000}], "nothing-left"),
    ],
)
async def test_changes_that_cannot_be_made_are_refused_in_words(
    archive: Archive, ten_seconds: bytes, edits: list[dict[str, Any]], code: str
) -> None:
    await held(archive, ten_seconds)
    refused = await propose(archive, *edits)
    assert (refused.status_code, refused.json()["type"]) == (422, f"urn:firsthand:archive:{code}")
    assert (await make(archive)).json()["type"] == "urn:firsthand:archive:no-edits"
    half = {"left": 600, "top": 0, "width": 500, "height": 1000}
    for rubbish in (
        [{"kind": "smear", "start": 0, "end": 1}],
        [{"kind": "cut", "start": -1, "end": 5}],
        [{"kind": "cut", "start": 0, "end": 5, "area": LEFT}],
        [{"kind": "blur", "start": 0, "end": 5, "area": half}],
        [{"kind": "blur", "start": 0, "end": 5, "area": {**LEFT, "width": 0}}],
        [{"kind": "blur", "start": 0, "end": 5, "area": "left"}],
        [1],
        "x",
    ):
        sent = await archive.http.put(f"{FAMILY}/edits", headers=archive.family(), json={"edits": rubbish})
        assert sent.status_code == 422
    many = [{"kind": "cut", "start": n, "end": n + 1} for n in range(101)]
    assert (
        await archive.http.put(f"{FAMILY}/edits", headers=archive.family(), json={"edits": many})
    ).status_code == 422


async def test_only_the_family_and_its_tutors_change_a_recording_and_only_while_they_may(
    archive: Archive, ten_seconds: bytes
) -> None:
    await held(archive, ten_seconds)
    for who in (archive.student(), archive.tutor(AKL), archive.tutor(person="tutor9")):
        for method, path in (("GET", "editing"), ("PUT", "edits"), ("POST", "versions"), ("POST", "versions/back")):
            body = {"edits": [CUT], "file": "x"}
            asked = await archive.http.request(method, f"{TUTOR}/{path}", headers=who, json=body)
            assert asked.status_code in (403, 404), (path, asked.text)
    await propose(archive, CUT)
    await archive.consent("ConsentChangedV1", "paused")
    async with asyncio.timeout(20):
        while (await make(archive)).status_code != 409:  # noqa: ASYNC110 - told over HTTP
            await asyncio.sleep(0.02)


async def test_a_withdrawal_while_a_new_version_is_made_ends_it_and_erasure_leaves_nothing(
    archive: Archive, ten_seconds: bytes
) -> None:
    await held(archive, ten_seconds)
    await propose(archive, CUT)
    await make(archive)
    await archive.withdraw()
    await archive.consent("ErasureRequestedV1", "withdrawn", erasure_id="e1")
    await archive.until("archive.erased")
    archive.clock.advance(timedelta(minutes=1))
    assert archive.media_files() == []
    recording = await Recordings(archive.context, QU).get("c1")
    assert recording
    assert (recording.earlier, recording.draft, recording.media) == ([], [], None)


async def test_the_pages_work_with_forms_alone(archive: Archive, ten_seconds: bytes) -> None:
    await held(archive, ten_seconds)
    await archive.beat()
    for at, who, page in (
        ("/archive/family", archive.family(), "/archive/family/edit"),
        ("/archive/recordings/c1", archive.tutor(), "/archive/recordings/c1"),
    ):
        headers = {**PAGE, **who}

        async def send(path: str, **form: str) -> httpx.Response:
            return await archive.http.post(f"{at}/{path}", headers=headers, data=form)  # noqa: B023

        wrong = await send("edits", kind="cut", start="a minute", end="2:00")
        assert (wrong.status_code, "for example 1:05" in wrong.text, 'value="a minute"' in wrong.text) == (
            422,
            True,
            True,
        )
        assert (await send("edits", kind="cut", start="0:02", end="0:04.5")).status_code == 303
        assert (await send("edits", kind="silence", start="٠:٠٦", end="7")).status_code == 303
        read = (await archive.http.get(page, headers=headers)).text
        assert "Take out from 0:02 to 0:04.5" in read
        assert "No sound from 0:06 to 0:07" in read
        assert (await send("edits/remove", number="0")).status_code == 303
        assert "Take out from" not in (await archive.http.get(page, headers=headers)).text
        assert (await send("edits/remove", number="0")).status_code == 303
    assert (await archive.http.post("/archive/family/edits", headers={**PAGE, **archive.family()},
            data={"kind": "silence", "start": "1", "end": "2"})).status_code == 303  # fmt: skip
    made_ = await archive.http.post("/archive/family/versions", headers={**PAGE, **archive.family()})
    assert (made_.status_code, made_.headers["location"]) == (303, "/archive/family")
    await archive.until("recording.archived", 2)
    text = (await archive.http.get("/archive/family", headers={**PAGE, **archive.family()})).text
    assert "This is your new version, with 1 change." in text


async def test_a_family_asks_for_a_change_in_words_and_its_tutor_makes_it(archive: Archive, ten_seconds: bytes) -> None:
    await held(archive, ten_seconds)
    words = "Please hide my sister's face, Quetzalcoatl."
    asked = await archive.http.post(f"{FAMILY}/wishes", headers=archive.family(), json={"place": 4200, "text": words})
    assert asked.status_code == 202, asked.text
    told = await archive.until("recording.changed")
    assert (told.data.changes, told.actor) == ("asked", "family")
    assert "Quetzalcoatl" not in told.wire().decode()
    for path in archive.deployment.settings.data.rglob("*"):
        assert not path.is_file() or b"Quetzalcoatl" not in path.read_bytes(), path

    (wish,) = (await archive.http.get(f"{TUTOR}/editing", headers=archive.tutor())).json()["wishes"]
    assert (wish["place"], wish["text"], wish["done_at"]) == (4200, words, None)
    page = await archive.http.get("/archive/recordings/c1", headers=archive.tutor() | PAGE)
    assert "hide my sister" in page.text
    stranger = await archive.http.post(f"{TUTOR}/wishes/{wish['wish_id']}/done", headers=archive.tutor(person="tutor9"))
    assert stranger.status_code == 404
    done = await archive.http.post(f"{TUTOR}/wishes/{wish['wish_id']}/done", headers=archive.tutor())
    assert done.json()["wishes"][0]["done_at"]
    assert (await archive.until("recording.changed", 2)).data.changes == "made"
    again = await archive.http.post(f"{TUTOR}/wishes/{wish['wish_id']}/done", headers=archive.tutor())
    assert again.status_code == 200, "to say it twice does no harm"
    unknown = await archive.http.post(f"{TUTOR}/wishes/nothing/done", headers=archive.tutor())
    assert unknown.json()["type"] == "urn:firsthand:archive:no-such-wish"

    sha = (await archive.until("recording.archived")).data.sha256
    await archive.consent("ConsentReleasedV1", released=True, released_sha256=sha)
    assert (await archive.until("recording.published")).data.changes is None
    recording = await Recordings(archive.context, QU).get("c1")
    assert recording
    assert recording.wishes == []
    late = await archive.http.post(f"{FAMILY}/wishes", headers=archive.family(), json={"text": "too late"})
    assert late.json()["type"] == "urn:firsthand:archive:nothing-to-edit"


async def test_what_a_family_typed_is_kept_when_it_is_refused_and_its_wishes_have_an_end(
    archive: Archive, ten_seconds: bytes
) -> None:
    await held(archive, ten_seconds)
    for typed, said in (({"text": "Cut it", "place": "soon"}, "Cut it"), ({"text": "", "place": "0:04"}, "0:04")):
        sent = await archive.http.post("/archive/family/wishes", headers=archive.family() | PAGE, data=typed)
        assert sent.status_code in (409, 422)
        assert said in sent.text
    for number in range(20):
        sent = await archive.http.post(f"{FAMILY}/wishes", headers=archive.family(), json={"text": f"change {number}"})
        assert sent.status_code == 202
    more = await archive.http.post(f"{FAMILY}/wishes", headers=archive.family(), json={"text": "one more"})
    assert more.json()["type"] == "urn:firsthand:archive:too-many-wishes"
