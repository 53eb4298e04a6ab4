import asyncio
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firsthand.shared.bus.errors import Hopeless, Transient
from firsthand.shared.clock import ManualClock
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.mail import CalendarPart, FolderMailer, MailRefused, MailUnavailable, SmtpMailer, mailer_of
from firsthand.shared.mail_address import MailAddress
from firsthand.shared.settings import CannotStart, Settings
from tests.postbox import Postbox, postbox

__all__ = ["postbox"]  # a fixture

QU = InstitutionId("qu-cdm")
OTHER = InstitutionId("other-school")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CALENDAR = CalendarPart("REQUEST", "BEGIN:VCALENDAR\r\nSUMMARY:اللقاء\r\nEND:VCALENDAR\r\n".encode())
SENDER = "Firsthand <no-reply@school.example>"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def mailer(tmp_path: Path, clock: ManualClock) -> FolderMailer:
    return FolderMailer(tmp_path / "mail", clock, SENDER)


async def read(mailer: FolderMailer, key: str = "e1", owner: str = "c1") -> EmailMessage:
    content = await mailer.read(QU, owner, key)
    assert content is not None
    return message_from_bytes(content, policy=policy.default)


async def test_a_mail_is_kept_as_the_reader_will_see_it(mailer: FolderMailer) -> None:
    await mailer.send(
        QU,
        "c1",
        "e1",
        to="amal@example.org",
        subject="موعد اللقاء",
        text="مرحبا\nhttps://school.example/consent/i/qu-cdm/abc\n",
        calendar=CALENDAR,
    )
    message = await read(mailer)
    assert (message["To"], message["From"], message["Subject"]) == ("amal@example.org", SENDER, "موعد اللقاء")
    assert message["Message-ID"] == "<e1@school.example>"
    assert message["Date"].datetime == NOON
    assert message["Auto-Submitted"] == "auto-generated"
    (letter,) = await mailer.list(QU)
    assert letter.text == "مرحبا\nhttps://school.example/consent/i/qu-cdm/abc\n"
    assert (letter.owner, letter.key, letter.sent_at) == ("c1", "e1", NOON)
    assert letter.attachments == ("meeting.ics",)


async def test_an_invitation_stands_beside_the_text_and_comes_as_a_file_too(mailer: FolderMailer) -> None:
    await mailer.send(QU, "c1", "e1", to="a@example.org", subject="s", text="t", calendar=CALENDAR)
    message = await read(mailer)
    assert message.get_content_type() == "multipart/mixed"
    forms, file = message.iter_parts()
    assert forms.get_content_type() == "multipart/alternative"
    text, invitation = forms.iter_parts()
    assert text.get_content_type() == "text/plain"
    assert invitation.get_content_type() == "text/calendar"
    assert dict(invitation["Content-Type"].params) == {"charset": "utf-8", "method": "REQUEST"}
    assert invitation.get_content_disposition() is None
    assert invitation.get_content().encode() == CALENDAR.content
    assert (file.get_content_type(), file.get_filename()) == ("application/ics", "meeting.ics")
    assert file.get_content_disposition() == "attachment"
    assert file.get_payload(decode=True) == CALENDAR.content


async def test_a_mail_names_its_sender_and_says_where_an_answer_is_read(mailer: FolderMailer) -> None:
    await mailer.send(
        QU,
        "c1",
        "e1",
        to="a@example.org",
        subject="s",
        text="t",
        sender="كلية, College\r\nBcc: x@y.example",
        reply_to=MailAddress("families@school.example"),
    )
    message = await read(mailer)
    (sender,) = message["From"].addresses
    assert sender.display_name == "كلية, College Bcc: x@y.example"
    assert sender.addr_spec == "no-reply@school.example"
    assert message["Reply-To"] == "families@school.example"
    assert message["Bcc"] is None


async def test_what_goes_out_is_seven_bits_with_short_lines(mailer: FolderMailer) -> None:
    await mailer.send(QU, "c1", "e1", to="a@example.org", subject="é" * 200, text="ش" * 3000 + "x" * 3000)
    content = await mailer.read(QU, "c1", "e1")
    assert content is not None
    assert content.isascii()
    assert max(len(line) for line in content.split(b"\r\n")) < 998
    assert content.count(b"\n") == content.count(b"\r\n")


async def test_the_same_mail_asked_for_twice_is_one_file(
    mailer: FolderMailer, clock: ManualClock, tmp_path: Path
) -> None:
    await mailer.send(QU, "c1", "e1", to="a@example.org", subject="s", text="first")
    clock.advance(timedelta(hours=1))
    await asyncio.gather(
        *(mailer.send(QU, "c1", "e1", to="a@example.org", subject="s", text="again") for _ in range(5))
    )
    (letter,) = await mailer.list(QU)
    assert (letter.text, letter.sent_at) == ("first\n", NOON)
    assert _files(tmp_path) == ["mail/qu-cdm/c1/e1.eml"]


def _files(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]


async def test_mail_is_readable_by_this_user_alone(mailer: FolderMailer, tmp_path: Path) -> None:
    await mailer.send(QU, "c1", "e1", to="a@example.org", subject="s", text="t")
    assert (tmp_path / "mail/qu-cdm/c1/e1.eml").stat().st_mode & 0o077 == 0
    assert (tmp_path / "mail/qu-cdm/c1").stat().st_mode & 0o077 == 0


async def test_the_newest_mail_comes_first_and_institutions_see_only_their_own(
    mailer: FolderMailer, clock: ManualClock
) -> None:
    for key, institution in (("e1", QU), ("e2", QU), ("e3", OTHER)):
        clock.advance(timedelta(minutes=1))
        await mailer.send(institution, "c1", key, to="a@example.org", subject=key, text="t")
    assert [letter.key for letter in await mailer.list(QU)] == ["e2", "e1"]
    assert [letter.key for letter in await mailer.list(OTHER)] == ["e3"]
    assert await mailer.list(InstitutionId("third")) == []


async def test_erasing_removes_all_of_an_owner_and_nothing_else(mailer: FolderMailer, tmp_path: Path) -> None:
    for owner, key in (("c1", "e1"), ("c1", "e2"), ("c2", "e3")):
        await mailer.send(QU, owner, key, to="a@example.org", subject="s", text="t")
    await mailer.send(OTHER, "c1", "e4", to="a@example.org", subject="s", text="t")
    assert await mailer.erase(QU, "c1") == 2
    assert await mailer.erase(QU, "c1") == 0
    assert sorted(_files(tmp_path)) == ["mail/other-school/c1/e4.eml", "mail/qu-cdm/c2/e3.eml"]
    assert await mailer.read(QU, "c1", "e1") is None


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(to=st.text(max_size=100), subject=st.text(max_size=200), name=st.text(max_size=60))
def test_no_text_adds_a_header_or_a_recipient(mailer: FolderMailer, to: str, subject: str, name: str) -> None:
    async def check() -> None:
        await mailer.erase(QU, "c1")
        for address in ("a@example.org", f"{to}@example.org", f"a@{to}.example", f'"{to}" <a@example.org>'):
            try:
                await mailer.send(QU, "c1", "e1", to=address, subject=subject, text="t", sender=name)
            except MailRefused:
                continue
            message = await read(mailer)
            expected = {"From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"}
            assert sorted({*message.keys()} - {"Content-Transfer-Encoding"}) == sorted(expected)
            assert len({*message.keys()}) == len(message.keys())
            assert len(message["To"].addresses) == 1
            await mailer.erase(QU, "c1")

    asyncio.run(check())


@pytest.mark.parametrize(
    "to",
    [
        "",
        "amal",
        "a@b.org, c@d.org",
        "a@b.org\r\nBcc: c@d.org",
        "a@b.org\nx",
        "@b.org",
        "a@",
        "group: a@b.org, c@d.org;",
        "a b@c.org",
    ],
)
async def test_what_is_not_one_address_is_refused(mailer: FolderMailer, to: str) -> None:
    with pytest.raises(MailRefused) as error:
        await mailer.send(QU, "c1", "e1", to=to, subject="s", text="t")
    assert not to or to not in str(error.value)
    assert await mailer.list(QU) == []


@pytest.mark.parametrize("subject", ["a\r\nBcc: c@d.org", "a\nb", "a\rb", "a\x00b", "a\u2028b"])
async def test_a_subject_of_two_lines_is_refused(mailer: FolderMailer, subject: str) -> None:
    with pytest.raises(MailRefused):
        await mailer.send(QU, "c1", "e1", to="a@example.org", subject=subject, text="t")


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", ".hidden", "a\x00"])
async def test_no_name_leads_out_of_the_folder(mailer: FolderMailer, name: str) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        await mailer.send(QU, name, "e1", to="a@example.org", subject="s", text="t")
    with pytest.raises(ValueError, match="letters, digits"):
        await mailer.send(QU, "c1", name, to="a@example.org", subject="s", text="t")
    with pytest.raises(ValueError, match="letters, digits"):
        await mailer.erase(InstitutionId(name), "c1")


async def test_a_folder_that_takes_nothing_is_a_passing_trouble(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "mail").write_text("not a folder")
    mailer = FolderMailer(tmp_path / "mail", clock, SENDER)
    with pytest.raises(MailUnavailable, match="mail folder"):
        await mailer.send(QU, "c", "e", to="a@b.org", subject="s", text="t")
    with pytest.raises(MailUnavailable, match="mail folder"):
        await mailer.check()
    assert mailer.state.trouble
    (tmp_path / "mail").unlink()
    await mailer.check()
    assert mailer.state.trouble is None


def test_what_a_handler_raises_for_mail_decides_what_becomes_of_the_event() -> None:
    assert issubclass(MailUnavailable, Transient)
    assert issubclass(MailRefused, Hopeless)


def smtp(postbox: Postbox, clock: ManualClock, login: str = "") -> SmtpMailer:
    return SmtpMailer(f"smtp://{login}127.0.0.1:{postbox.port}?starttls=0", clock, SENDER)


async def test_a_mail_server_is_given_the_same_mail_that_the_folder_keeps(postbox: Postbox, clock: ManualClock) -> None:
    await smtp(postbox, clock).send(
        QU,
        "c1",
        "e1",
        to="amal@\u200bexample.org",
        subject="موعد",
        text=".a line that begins with a dot\nsecond",
        calendar=CALENDAR,
    )
    (mail,) = postbox.received
    assert mail.sender.startswith("MAIL FROM:<no-reply@school.example>")
    assert [line.partition(" BODY")[0] for line in mail.recipients] == ["RCPT TO:<amal@example.org>"]
    message = message_from_bytes(mail.content, policy=policy.default)
    assert message["Message-ID"] == "<e1@school.example>"
    assert message["Subject"] == "موعد"
    body = message.get_body()
    assert body is not None
    assert body.get_content().splitlines() == [".a line that begins with a dot", "second"]
    (calendar,) = message.iter_attachments()
    assert calendar.get_payload(decode=True) == CALENDAR.content


async def test_a_mail_sent_again_has_the_same_message_id(postbox: Postbox, clock: ManualClock) -> None:
    for _ in range(2):
        await smtp(postbox, clock).send(QU, "c1", "e1", to="a@b.org", subject="s", text="t")
        clock.advance(timedelta(minutes=5))
    ids = [message_from_bytes(mail.content)["Message-ID"] for mail in postbox.received]
    assert ids == ["<e1@school.example>"] * 2


async def test_user_and_password_of_the_address_are_used(postbox: Postbox, clock: ManualClock) -> None:
    await smtp(postbox, clock, "us%40er:p%2Fw@").send(QU, "c1", "e1", to="a@b.org", subject="s", text="t")
    assert len(postbox.logins) == 1


@pytest.mark.parametrize(
    ("verb", "answer", "error"),
    [
        ("RCPT", "550 no such user amal@example.org", MailRefused),
        ("RCPT", "451 try later", MailUnavailable),
        ("DATA", "554 no", MailRefused),
        ("DATA", "421 closing", MailUnavailable),
        ("AUTH", "535 wrong password", MailUnavailable),
    ],
)
async def test_a_servers_no_is_final_or_passing_by_its_number_and_repeats_no_address(
    postbox: Postbox, clock: ManualClock, verb: str, answer: str, error: type[Exception]
) -> None:
    postbox.answers[verb] = answer
    with pytest.raises(error) as raised:
        await smtp(postbox, clock, "u:p@").send(QU, "c1", "e1", to="amal@example.org", subject="s", text="t")
    assert answer[:3] in str(raised.value)
    assert "amal" not in str(raised.value)
    assert postbox.received == []


@pytest.mark.parametrize(
    ("verb", "answer"),
    [("MAIL", "550 who are you"), ("MAIL", "530 log in first"), ("AUTH", "535 no"), ("EHLO", "554 go away")],
)
async def test_what_is_wrong_with_us_is_never_held_against_a_familys_address(
    postbox: Postbox, clock: ManualClock, verb: str, answer: str
) -> None:
    postbox.answers = {verb: answer, "HELO": answer}
    mailer = smtp(postbox, clock, "u:p@")
    with pytest.raises(MailUnavailable):
        await mailer.send(QU, "c1", "e1", to="amal@example.org", subject="s", text="t")
    clock.advance(timedelta(minutes=5))
    with pytest.raises(MailUnavailable):
        await mailer.check()
    assert mailer.state.trouble
    assert mailer.state.trouble.since == NOON
    assert answer[:3] in mailer.state.trouble.sentence
    postbox.answers = {}
    await mailer.check()
    assert mailer.state.trouble is None
    assert mailer.state.well.is_set()
    assert postbox.received == []


async def test_one_refused_mail_is_no_trouble_for_all_others(postbox: Postbox, clock: ManualClock) -> None:
    mailer = smtp(postbox, clock)
    for answer, error in (("451 later", MailUnavailable), ("550 no such user", MailRefused)):
        postbox.answers["RCPT"] = answer
        with pytest.raises(error):
            await mailer.send(QU, "c1", "e1", to="amal@example.org", subject="s", text="t")
    assert mailer.state.trouble is None


async def test_letters_before_the_at_sign_are_written_to_where_the_server_can(
    postbox: Postbox, clock: ManualClock
) -> None:
    mailer = smtp(postbox, clock)
    assert await mailer.takes_utf8()
    await mailer.send(QU, "c1", "e1", to="josé@müller.example", subject="é", text="t", calendar=CALENDAR)
    (mail,) = postbox.received
    assert "SMTPUTF8" in mail.sender
    assert mail.recipients == ["RCPT TO:<josé@xn--mller-kva.example>"]
    assert "\r\nTo: josé@xn--mller-kva.example\r\n".encode() in mail.content


async def test_a_server_that_cannot_write_to_such_letters_refuses_them_for_good_and_takes_all_else(
    postbox: Postbox, clock: ManualClock
) -> None:
    postbox.speaks = ("8BITMIME",)
    mailer = smtp(postbox, clock)
    assert not await mailer.takes_utf8()
    with pytest.raises(MailRefused) as refused:
        await mailer.send(QU, "c1", "e1", to="josé@example.org", subject="s", text="t")
    assert refused.value.because == "letters"
    assert mailer.state.trouble is None
    await mailer.send(QU, "c1", "e2", to="jose@müller.example", subject="s", text="t")
    (mail,) = postbox.received
    assert mail.recipients == ["RCPT TO:<jose@xn--mller-kva.example>"]


async def test_the_folder_keeps_mail_to_such_letters(mailer: FolderMailer) -> None:
    assert await mailer.takes_utf8()
    await mailer.send(QU, "c1", "e1", to="josé@example.org", subject="é", text="t", calendar=CALENDAR)
    (letter,) = await mailer.list(QU)
    assert (letter.to, letter.subject, letter.text) == ("josé@example.org", "é", "t\n")


@pytest.mark.parametrize("sender", ["", "nobody", "josé@school.example", "a@b.example, c@d.example"])
def test_a_sender_that_no_server_takes_is_refused_at_the_start(tmp_path: Path, clock: ManualClock, sender: str) -> None:
    with pytest.raises(CannotStart, match="FIRSTHAND_MAIL_FROM"):
        mailer_of(Settings(data=tmp_path, mail_from=sender), clock)


async def test_a_server_that_is_away_is_a_passing_trouble(clock: ManualClock) -> None:
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
    with pytest.raises(MailUnavailable):
        await SmtpMailer(f"smtp://127.0.0.1:{port}", clock, SENDER).send(
            QU, "c", "e", to="a@b.org", subject="s", text="t"
        )


async def test_mail_is_not_sent_in_the_clear_unless_told_so(postbox: Postbox, clock: ManualClock) -> None:
    mailer = SmtpMailer(f"smtp://127.0.0.1:{postbox.port}", clock, SENDER)
    with pytest.raises(MailUnavailable):
        await mailer.send(QU, "c1", "e1", to="a@b.org", subject="s", text="t")
    assert postbox.received == []


@pytest.mark.parametrize("url", ["", "http://x", "smtp://", "mail.example.org:25"])
def test_an_address_that_is_no_mail_server_is_refused_at_the_start(url: str, clock: ManualClock) -> None:
    with pytest.raises(ValueError, match="smtp://"):
        SmtpMailer(url, clock, SENDER)


async def test_a_server_keeps_nothing_here(postbox: Postbox, clock: ManualClock) -> None:
    mailer = smtp(postbox, clock)
    assert not mailer.keeps
    assert await mailer.list(QU) == []
    assert await mailer.erase(QU, "c1") == 0
