"""What is said: read, found and jumped to beside the player; the family's own reading of it, on a phone."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from firsthand.example import journey as play
from firsthand.example.media import make_audio, make_video
from tests.browser.house import PHONE, House

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser"), pytest.mark.asyncio(loop_scope="session")]


async def test_a_student_finds_what_is_said_and_jumps_there_until_the_family_takes_the_text_back(
    house: House, browser: Browser
) -> None:
    journey = await house.new_family("released")
    student = await house.signed_in(browser, "student")
    page = await student.new_page()
    await page.goto("/archive/search")
    await page.get_by_label("Words").fill("Another MOTHER hospital")
    await page.get_by_role("button", name="Search").click()
    hit = page.locator(".card", has_text=journey.reference)
    await expect(hit.locator("mark").first).to_have_text("Another")
    await hit.get_by_role("link", name="0:05").click()
    await page.wait_for_url(f"**/archive/watch/{journey.contact_id}?**")
    player = page.locator("video")
    await player.evaluate("video => video.load()")
    lines = page.locator("[data-said-lines] li")
    await expect(lines).to_have_count(3)

    await lines.nth(1).get_by_role("link").click()
    await player.evaluate(
        "video => new Promise(done => video.addEventListener('timeupdate', () => video.currentTime > 2.7 && done()))"
    )
    await expect(lines.nth(1)).to_have_attribute("aria-current", "true")
    await player.evaluate("video => video.pause()")
    shown = await page.evaluate(
        """() => { const [track] = document.querySelector("video").textTracks; track.mode = "showing";
        return new Promise(done => document.querySelector("track").addEventListener("load", () =>
          done([...track.cues].map(cue => cue.text)))) }"""
    )
    assert shown[1] == "<v Student>Who showed you how?"

    await page.get_by_label("Find in this recording").fill("spoon DROP")
    await expect(lines.nth(0)).to_be_visible()
    await expect(lines.nth(1)).to_be_hidden()
    await page.get_by_label("Find in this recording").fill("zebra")
    await expect(page.get_by_text("Nobody says this here.")).to_be_visible()

    allowed = [scope for scope in play.ALLOWED if scope != "transcript"]
    await play.change(journey, allowed)
    await expect(page.locator("[data-said]")).to_have_count(0)
    await expect(page.locator("track")).to_have_count(0)
    await expect(player).to_be_visible()
    await page.goto("/archive/search?q=another+mother+hospital")
    await expect(page.locator(".card", has_text=journey.reference)).to_have_count(0)
    await student.close()


async def test_a_family_reads_changes_and_approves_the_text_on_a_phone_without_scripts(
    house: House, browser: Browser, tmp_path: Path
) -> None:
    journey = await house.new_family("held")
    await play.upload(journey)
    file = tmp_path / "GMT20261128_Recording.transcript.vtt"
    file.write_text(play.CAPTIONS.replace("Mother: Another mother", "Mother: Aunt Noor"))
    tutor = await house.signed_in(browser, "tutor", java_script_enabled=False)
    page = await tutor.new_page()
    await page.goto(f"/archive/recordings/{journey.contact_id}")
    await page.locator("#captions").set_input_files(file)
    await page.get_by_role("button", name="Upload captions").click()
    words = page.locator("#words")
    await expect(words).to_contain_text("waiting for the family")
    await expect(page.locator("main")).not_to_contain_text("Noor")
    wrong = tmp_path / "notes.vtt"
    wrong.write_text("Dear tutor")
    await page.get_by_text("Upload captions", exact=True).first.click()
    await page.locator("#captions").set_input_files(wrong)
    await page.get_by_role("button", name="Upload captions").click()
    await expect(page.get_by_role("alert")).to_contain_text("We found no captions in this file")

    family = await house.family_of(browser, journey, java_script_enabled=False, **PHONE)
    phone = await family.new_page()
    await phone.goto("/archive/family")
    await phone.locator(".notice").get_by_role("link", name="Read what is said").tap()
    line = phone.locator("#line-2")
    await expect(line).to_contain_text("Aunt Noor did.")
    await line.get_by_role("link", name="Change").tap()
    await phone.get_by_label("What the line should say").fill("A relative did.")
    await phone.get_by_role("button", name="Save").tap()
    await expect(phone.locator("#line-2")).to_contain_text("A relative did.")
    await phone.get_by_role("button", name="Yes, others can read this text").tap()
    await expect(phone.locator(".notice.good").first).to_contain_text("can now read this text too")
    await page.goto(f"/archive/recordings/{journey.contact_id}")
    await expect(page.locator("#words")).to_contain_text("approved")

    await phone.locator("#line-0").get_by_role("link", name="Change").tap()
    await phone.get_by_role("button", name="Silence this line in the recording").tap()
    await phone.wait_for_url("**/archive/family/edit")
    await expect(phone.locator(".edits")).to_contain_text("No sound from 0:00.2 to 0:02.4")
    await phone.goto("/archive/family/words")
    await phone.get_by_role("button", name="Delete the text").tap()
    await expect(phone.locator("main")).to_contain_text("The text was deleted.")
    await family.close()
    await tutor.close()


async def test_a_student_goes_on_where_it_stopped_jumps_and_changes_the_speed(house: House, browser: Browser) -> None:
    journey = await house.new_family("held")
    await play.upload(journey, make_video(40))
    await play.release(journey)
    student = await house.signed_in(browser, "student")
    page = await student.new_page()
    await page.goto(f"/archive/watch/{journey.contact_id}")
    player = page.locator("video")
    await expect(page.get_by_role("button", name="Continue at")).to_be_hidden()
    await player.evaluate("video => video.play()")
    await player.focus()
    await page.keyboard.press("k")
    await expect(player).to_have_js_property("paused", True)
    await player.evaluate("video => { video.currentTime = 5 }")
    await page.keyboard.press("l")
    await expect(player).to_have_js_property("currentTime", 15)
    await page.get_by_role("button", name="Back 10 seconds").click()
    await page.get_by_role("button", name="Forward 10 seconds").click()
    await expect(player).to_have_js_property("currentTime", 15)
    await page.get_by_label("Speed").select_option("1.5")
    await expect(player).to_have_js_property("playbackRate", 1.5)
    async with page.expect_response("**/place"):
        await player.evaluate("async video => { await video.play(); video.pause() }")

    tutor = await house.signed_in(browser, "tutor")
    picking = await tutor.new_page()
    await picking.goto(f"/archive/watch/{journey.contact_id}")
    await picking.get_by_text("Pick a moment", exact=True).click()
    await picking.locator("video").evaluate("video => { video.currentTime = 20 }")
    await picking.get_by_role("button", name="From here").click()
    await picking.get_by_label("To", exact=False).last.fill("0:21")
    await picking.get_by_label("What to look out for").fill("How she holds the spoon")
    await picking.get_by_role("button", name="Add it").click()
    moment = picking.locator("#clips li", has_text="How she holds the spoon")
    await moment.get_by_role("link", name="0:20–0:21").click()
    await expect(picking.locator("video")).to_have_js_property("paused", False)
    await expect(picking.locator("video")).to_have_js_property("paused", True)
    at = await picking.locator("video").evaluate("video => video.currentTime")
    assert 21 <= at < 22
    await tutor.close()

    later = await student.new_page()
    await later.goto(f"/archive/watch/{journey.contact_id}")
    go_on = later.get_by_role("button", name="Continue at")
    await expect(go_on).to_contain_text("0:15")
    await go_on.click()
    await later.locator("video").evaluate(
        "video => new Promise(done => video.addEventListener('timeupdate', () => video.currentTime > 15.2 && done()))"
    )
    await student.close()


async def test_what_a_meeting_provider_gives_is_brought_in_one_go(
    house: House, browser: Browser, tmp_path: Path
) -> None:
    journey = await house.new_family("held")
    tutor = await house.signed_in(browser, "tutor")
    page = await tutor.new_page()
    await page.goto(f"/archive/recordings/{journey.contact_id}")
    names = ("audio1.m4a", "GMT20261128.cc.vtt", "GMT20261128.transcript.vtt", "video1.mp4")
    for name, content in zip(
        names,
        (make_audio(4), play.CAPTIONS.replace("Mother", "Captions").encode(), play.CAPTIONS.encode(), make_video(8)),
        strict=True,
    ):
        (tmp_path / name).write_bytes(content)
    await page.locator("#recording").set_input_files([tmp_path / name for name in names])
    await page.get_by_role("button", name="Upload", exact=True).click()
    await page.wait_for_url("**?done=taken-in")
    held = await play.recording(journey, "held")
    assert held["media"] == "video"
    found = await journey.family.call("GET", "/archive/api/v1/family/transcripts/en")
    assert [line["speaker"] for line in found["lines"]] == ["Mother", "Student", "Mother"]
    await tutor.close()
