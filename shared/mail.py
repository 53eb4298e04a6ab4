"""Mail: one message by a stable key, into a folder that a page shows (the embedded default) or to a mail server.

The key is the id of the event that the mail is about (with a suffix where one event writes to several): asked twice,
the folder holds one file, and a mail server sees one Message-ID. That a subject never names a condition is the caller's
part.
"""

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy
from email.errors import HeaderParseError, MessageDefect
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from typing import Final, Literal, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

import aiosmtplib
import idna

from firsthand.shared.bus.errors import Hopeless, Transient
from firsthand.shared.clock import Clock
from firsthand.shared.files import remove_folder, sync_folder, write_whole
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.mail_address import MailAddress, NotMailAddress, mail_address, needs_utf8
from firsthand.shared.settings import CannotStart, Settings

# CRLF as on the wire, 7 bits so that any server on the way takes it.
_POLICY: Final = policy.SMTP.clone(cte_type="7bit")
_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_ANSWERS_WITHIN: Final = 20  # seconds for one answer of a mail server
_TIMEOUT: Final = 30  # seconds for a whole conversation with it
_PERMANENT: Final = 500  # SMTP replies from here on will not change by trying again (RFC 5321, 4.2.1)
_CALENDAR_NAME: Final = "meeting.ics"

# Why a mail is refused for good: what is no address or no line, letters that the mail server cannot write to, or the
# mail server's no.
Because = Literal["malformed", "letters", "server"]


class MailRefused(Hopeless):
    """The mail can never be sent: an impossible address or subject, or the server's final no."""

    def __init__(self, message: str, because: Because = "malformed") -> None:
        super().__init__(message)
        self.because = because


class MailUnavailable(Transient):
    """The mail cannot be sent now; the same may work later.

    `any_mail`: no other mail can be sent either. The message names neither an address nor what a server wrote.
    """

    def __init__(self, message: str, *, any_mail: bool = True) -> None:
        super().__init__(message)
        self.any_mail = any_mail


@dataclass(frozen=True)
class CalendarPart:
    """The calendar file that a mail brings (RFC 5546), in UTF-8."""

    method: Literal["REQUEST", "CANCEL"]
    content: bytes


@dataclass(frozen=True)
class Trouble:
    """Since when no mail can be sent, and why: one sentence that names nobody."""

    since: datetime
    sentence: str


class MailState:
    """Whether mail can be sent, as the last try showed, and how many mails wait for it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.trouble: Trouble | None = None
        self.waiting = 0
        self.changed = asyncio.Event()  # set when trouble begins or ends; who waits for it clears it
        self.well = asyncio.Event()
        self.well.set()

    def told(self) -> dict[str, object]:
        """What readiness says of it; empty while all is well."""
        if self.trouble is None and not self.waiting:
            return {}
        trouble = {"since": self.trouble.since.isoformat(), "error": self.trouble.sentence} if self.trouble else {}
        return {"waiting": self.waiting, **trouble}

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Note how what is done inside ends. A refusal is an answer too."""
        try:
            yield
        except MailUnavailable as error:
            if error.any_mail:
                self._failed(str(error))
            raise
        except MailRefused as error:
            if error.because == "server":
                self._worked()
            raise
        else:
            self._worked()

    def _failed(self, sentence: str) -> None:
        began = self.trouble is None
        self.trouble = Trouble(self._clock.now() if self.trouble is None else self.trouble.since, sentence)
        self.well.clear()
        if began:
            self.changed.set()

    def _worked(self) -> None:
        if self.trouble:
            self.trouble = None
            self.changed.set()
        self.well.set()


@dataclass(frozen=True)
class Letter:
    """A mail kept in the folder."""

    institution: InstitutionId
    owner: str
    key: str
    to: str
    subject: str
    sent_at: datetime
    text: str
    attachments: tuple[str, ...]  # names


class Mailer(Protocol):
    """Sends mail, and erases what it keeps of it."""

    @property
    def state(self) -> MailState: ...

    @property
    def keeps(self) -> bool:
        """Whether mail can be listed and erased here; what a server delivered is out of reach."""
        ...

    async def send(
        self,
        institution: InstitutionId,
        owner: str,
        key: str,
        *,
        to: str,
        subject: str,
        text: str,
        sender: str = "",
        reply_to: MailAddress | None = None,
        calendar: CalendarPart | None = None,
    ) -> None:
        """Send one mail to one address, which is cleaned here too. Raises MailRefused, MailUnavailable.

        `owner` is whom it is about (a contact or a person), by whom it is erased. `sender` is the name that stands
        before our own address, `reply_to` the address at which somebody reads an answer.
        """
        ...

    async def check(self) -> None:
        """Look whether mail could be sent now, without sending any. Raises MailUnavailable."""
        ...

    async def takes_utf8(self) -> bool:
        """Whether addresses with letters beyond ASCII before the @ can be written to. Raises MailUnavailable."""
        ...

    async def list(self, institution: InstitutionId) -> Sequence[Letter]:
        """What is kept for an institution, the newest first."""
        ...

    async def erase(self, institution: InstitutionId, owner: str) -> int:
        """Remove what is kept of an owner; returns how many mails it were."""
        ...


class FolderMailer:
    """Keeps each mail as `<root>/<institution>/<owner>/<key>.eml`, readable by this user alone."""

    keeps = True

    def __init__(self, root: Path, clock: Clock, sender: str) -> None:
        self._root = root
        self._clock = clock
        self._sender = _own_address(sender)
        self.state = MailState(clock)

    async def send(
        self,
        institution: InstitutionId,
        owner: str,
        key: str,
        *,
        to: str,
        subject: str,
        text: str,
        sender: str = "",
        reply_to: MailAddress | None = None,
        calendar: CalendarPart | None = None,
    ) -> None:
        path = self._folder(institution, owner) / f"{_checked(key)}.eml"
        message = _compose(self._sender, sender, mail_to(to), key, subject, text, reply_to, calendar, self._clock.now())
        with self.state.noted(), _folder_errors():
            await asyncio.to_thread(self._keep, path, message.as_bytes())

    async def check(self) -> None:
        with self.state.noted(), _folder_errors():
            await asyncio.to_thread(self._look)

    async def takes_utf8(self) -> bool:
        return True

    async def list(self, institution: InstitutionId) -> Sequence[Letter]:
        return await asyncio.to_thread(self._letters, institution)

    async def read(self, institution: InstitutionId, owner: str, key: str) -> bytes | None:
        """The whole message as it would have gone out, or None."""
        path = self._folder(institution, owner) / f"{_checked(key)}.eml"
        return await asyncio.to_thread(_content, path)

    async def erase(self, institution: InstitutionId, owner: str) -> int:
        return await asyncio.to_thread(_erase, self._folder(institution, owner))

    def _folder(self, institution: InstitutionId, owner: str) -> Path:
        return self._root / _checked(institution) / _checked(owner)

    def _look(self) -> None:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(self._root, os.W_OK | os.X_OK):
            raise PermissionError(13, os.strerror(13))

    def _keep(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if write_whole(path, content, replace=False):
            sync_folder(path.parent.parent)

    def _letters(self, institution: InstitutionId) -> Sequence[Letter]:
        found = (
            _letter(institution, path, content)
            for path in (self._root / _checked(institution)).glob("*/*.eml")
            if (content := _content(path)) is not None  # None: erased meanwhile
        )
        return sorted(found, key=lambda letter: (letter.sent_at, letter.key), reverse=True)


class SmtpMailer:
    """Hands each mail to a server: `smtp://user:password@host:587` or `smtps://...:465`.

    The conversation is encrypted and the server's certificate checked, unless `?starttls=0` says that it need not be.
    """

    keeps = False

    def __init__(self, url: str, clock: Clock, sender: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
            raise ValueError("A mail server is given as smtp://user:password@host:port or smtps://...")
        self._clock = clock
        self._sender = _own_address(sender)
        self.state = MailState(clock)
        self._host = parts.hostname
        self._tls = parts.scheme == "smtps"
        self._start_tls = not self._tls and parse_qs(parts.query).get("starttls", ["1"])[-1] != "0"
        self._port = parts.port or (465 if self._tls else 587)
        self._user = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None

    async def send(
        self,
        institution: InstitutionId,  # noqa: ARG002 - of the port; a server keeps nothing by institution
        owner: str,  # noqa: ARG002
        key: str,
        *,
        to: str,
        subject: str,
        text: str,
        sender: str = "",
        reply_to: MailAddress | None = None,
        calendar: CalendarPart | None = None,
    ) -> None:
        _checked(key)
        address = mail_to(to)
        message = _compose(self._sender, sender, address, key, subject, text, reply_to, calendar, self._clock.now())
        with self.state.noted():
            async with self._conversation() as server:
                if needs_utf8(address) and not await _speaks_utf8(server):
                    raise MailRefused("the mail server cannot write to such letters before the @", "letters")
                await server.send_message(message)

    async def check(self) -> None:
        with self.state.noted():
            async with self._conversation() as server:
                await server.mail(self._sender.addr_spec)  # as far as a mail goes before it is anybody's
                await server.rset()

    async def takes_utf8(self) -> bool:
        async with self._conversation() as server:
            return await _speaks_utf8(server)

    async def list(self, institution: InstitutionId) -> Sequence[Letter]:  # noqa: ARG002
        return []

    async def erase(self, institution: InstitutionId, owner: str) -> int:  # noqa: ARG002
        return 0

    @property
    def server(self) -> tuple[str, int, Literal["tls", "starttls", "none"]]:
        """Host, port, and how the conversation is encrypted."""
        return self._host, self._port, "tls" if self._tls else "starttls" if self._start_tls else "none"

    @contextlib.asynccontextmanager
    async def _conversation(self) -> AsyncIterator[aiosmtplib.SMTP]:
        """Connect, log in, and say plainly what goes wrong until the end. Raises MailRefused, MailUnavailable.

        The text of a reply may repeat an address: only its number is told.
        """
        client = aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            username=self._user,
            password=self._password,
            use_tls=self._tls,
            start_tls=self._start_tls,
            timeout=_ANSWERS_WITHIN,
        )
        try:
            async with asyncio.timeout(_TIMEOUT), client:
                yield client
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _refusal(max(recipient.code for recipient in error.recipients)) from error
        except aiosmtplib.SMTPDataError as error:
            raise _refusal(error.code) from error
        # The rest is not about this mail, and mended by the operator, whatever number the server gives.
        except aiosmtplib.SMTPAuthenticationError as error:
            raise MailUnavailable(f"the mail server does not let us in ({error.code})") from error
        except aiosmtplib.SMTPSenderRefused as error:
            raise MailUnavailable(f"the mail server does not take our own address ({error.code})") from error
        except aiosmtplib.SMTPResponseException as error:
            raise MailUnavailable(f"the mail server refuses to talk to us ({error.code})") from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise MailUnavailable(f"the mail server does not answer as it should: {type(error).__name__}") from error


def mailer_of(settings: Settings, clock: Clock) -> Mailer:
    """Give the mailer that the settings choose. Raises CannotStart."""
    try:
        if settings.smtp_url:
            return SmtpMailer(settings.smtp_url, clock, settings.mail_from)
        return FolderMailer(settings.mail, clock, settings.mail_from)
    except MailRefused as error:
        raise CannotStart(f"FIRSTHAND_MAIL_FROM is not usable: {error}.") from error
    except ValueError as error:
        raise CannotStart(f"FIRSTHAND_SMTP_URL is not usable. {error}") from error


def _refusal(code: int) -> MailRefused | MailUnavailable:
    """What a server's no to one mail means, by its number."""
    if code >= _PERMANENT:
        return MailRefused(f"the mail server refuses the mail for good ({code})", "server")
    return MailUnavailable(f"the mail server refuses the mail for now ({code})", any_mail=False)


async def _speaks_utf8(server: aiosmtplib.SMTP) -> bool:
    if server.is_ehlo_or_helo_needed:
        await server.ehlo()
    return server.supports_extension("smtputf8")


@contextlib.contextmanager
def _folder_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MailUnavailable(f"the mail folder does not take the mail: {error.strerror}") from error


def _compose(
    own: Address,
    name: str,
    to: MailAddress,
    key: str,
    subject: str,
    text: str,
    reply_to: MailAddress | None,
    calendar: CalendarPart | None,
    at: datetime,
) -> EmailMessage:
    if _CONTROL.search(subject):
        raise MailRefused("a subject is one line without control characters")
    utf8 = needs_utf8(to)
    message = EmailMessage(policy=_POLICY.clone(utf8=True) if utf8 else _POLICY)
    message["From"] = Address(_CONTROL.sub(" ", name) or own.display_name, own.username, own.domain)
    message["To"] = _address(to)
    if reply_to and (utf8 or not needs_utf8(reply_to)):
        message["Reply-To"] = _address(reply_to)
    message["Subject"] = subject
    message["Date"] = format_datetime(at)
    message["Message-ID"] = f"<{key}@{own.domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday notice answers it
    message.set_content(text)
    if calendar:
        # Once as another form of the text, by which mail programs know an invitation (RFC 6047, 2.4), and once as a
        # file for those that do not.
        content = calendar.content.decode()
        message.add_alternative(content, subtype="calendar", params={"method": calendar.method})
        message.add_attachment(
            calendar.content,
            maintype="application",
            subtype="ics",
            filename=_CALENDAR_NAME,
            params={"name": _CALENDAR_NAME},
        )
    return message


def mail_to(text: str) -> MailAddress:
    """Clean an address, as `mail_address` does. Raises MailRefused."""
    try:
        return mail_address(text, inside=True)
    except NotMailAddress:
        raise MailRefused("this is not one mail address") from None


def _address(address: MailAddress) -> Address:
    local, _, domain = address.rpartition("@")
    return Address(username=local, domain=domain)


def _own_address(text: str) -> Address:
    """Read our own address, with or without a name before it. Raises MailRefused."""
    if _CONTROL.search(text):
        raise MailRefused("an address is one line without control characters")
    try:
        header = _POLICY.header_factory("From", text)
        (address,) = header.addresses
        domain = address.domain if address.domain.isascii() else idna.encode(address.domain, uts46=True).decode()
    except (ValueError, IndexError, HeaderParseError, MessageDefect):
        raise MailRefused("this is not one mail address") from None
    if header.defects or not address.username or not domain:
        raise MailRefused("this is not one mail address")
    if not address.username.isascii():
        raise MailRefused("before the @ of our own address stand ASCII letters only")
    return Address(address.display_name, address.username, domain)


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("institution, owner and key of a mail are letters, digits, dots, hyphens and underscores")
    return name


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _letter(institution: InstitutionId, path: Path, content: bytes) -> Letter:
    message = message_from_bytes(content, policy=_POLICY)
    body = message.get_body(("plain",))
    return Letter(
        institution=institution,
        owner=path.parent.name,
        key=path.stem,
        to=_header(message, "To"),
        subject=_header(message, "Subject"),
        sent_at=parsedate_to_datetime(message["Date"]),
        text=body.get_content().replace("\r\n", "\n") if body else "",
        attachments=tuple(part.get_filename() or "" for part in message.iter_attachments()),
    )


def _header(message: EmailMessage, name: str) -> str:
    """Read a header, also one in UTF-8 (RFC 6532), which the library takes for bytes that it does not know."""
    return str(message[name]).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _erase(folder: Path) -> int:
    count = len([*folder.glob("*.eml")])
    return count if remove_folder(folder) else 0
