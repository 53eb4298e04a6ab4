"""Mail: one message by a stable key, into a folder that a page shows (the embedded default) or to a mail server.

The key is the id of the event that the mail is about (with a suffix where one event writes to several): asked twice,
the folder holds one file, and a mail server sees one Message-ID. That a subject never names a condition is the caller's
part.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy
from email.errors import HeaderParseError, MessageDefect
from email.headerregistry import Address, ContentTypeHeader
from email.message import EmailMessage
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

import aiosmtplib

from firsthand.shared.bus.errors import Hopeless, Transient
from firsthand.shared.clock import Clock
from firsthand.shared.files import remove_folder, sync_folder, write_whole
from firsthand.shared.identifiers import InstitutionId

# CRLF as on the wire, 7 bits so that any server on the way takes it.
_POLICY: Final = policy.SMTP.clone(cte_type="7bit")
_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_TIMEOUT: Final = 20  # seconds for a whole conversation with a mail server
_PERMANENT: Final = 500  # SMTP replies from here on will not change by trying again (RFC 5321, 4.2.1)

Attachment = tuple[str, str, bytes]  # name, MIME type with parameters, content


class MailRefused(Hopeless):
    """The mail can never be sent: an impossible address or subject, or the server's final no."""


class MailUnavailable(Transient):
    """The mail cannot be sent now; the same may work later."""


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
        attachments: Sequence[Attachment] = (),
    ) -> None:
        """Send one mail to one address. Raises MailRefused, MailUnavailable.

        `owner` is whom it is about (a contact or a person), by whom it is erased.
        """
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
        self._sender = _address(sender)

    async def send(
        self,
        institution: InstitutionId,
        owner: str,
        key: str,
        *,
        to: str,
        subject: str,
        text: str,
        attachments: Sequence[Attachment] = (),
    ) -> None:
        path = self._folder(institution, owner) / f"{_checked(key)}.eml"
        message = _compose(
            self._sender, self._clock.now(), key=key, to=to, subject=subject, text=text, attachments=attachments
        )
        try:
            await asyncio.to_thread(self._keep, path, message.as_bytes())
        except OSError as error:
            raise MailUnavailable(f"the mail folder does not take the mail: {error.strerror}") from error

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
        self._sender = _address(sender)
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
        attachments: Sequence[Attachment] = (),
    ) -> None:
        _checked(key)
        message = _compose(
            self._sender, self._clock.now(), key=key, to=to, subject=subject, text=text, attachments=attachments
        )
        try:
            await aiosmtplib.send(
                message,
                hostname=self._host,
                port=self._port,
                username=self._user,
                password=self._password,
                use_tls=self._tls,
                start_tls=self._start_tls,
                timeout=_TIMEOUT,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            self._refused(max(recipient.code for recipient in error.recipients), error)
        except aiosmtplib.SMTPAuthenticationError as error:  # a wrong password is mended by the operator
            raise MailUnavailable(f"the mail server does not let us in ({error.code})") from error
        except aiosmtplib.SMTPResponseException as error:
            self._refused(error.code, error)
        except (aiosmtplib.SMTPException, OSError) as error:
            raise MailUnavailable(f"the mail server does not answer as it should: {type(error).__name__}") from error

    async def list(self, institution: InstitutionId) -> Sequence[Letter]:  # noqa: ARG002
        return []

    async def erase(self, institution: InstitutionId, owner: str) -> int:  # noqa: ARG002
        return 0

    def _refused(self, code: int, error: Exception) -> None:
        # The reply's text may repeat the address: only its number is told.
        if code >= _PERMANENT:
            raise MailRefused(f"the mail server refuses the mail for good ({code})") from error
        raise MailUnavailable(f"the mail server refuses the mail for now ({code})") from error


def _compose(
    sender: Address, at: datetime, *, key: str, to: str, subject: str, text: str, attachments: Sequence[Attachment]
) -> EmailMessage:
    if _CONTROL.search(subject):
        raise MailRefused("a subject is one line without control characters")
    message = EmailMessage(policy=_POLICY)
    message["From"] = sender
    message["To"] = _address(to)
    message["Subject"] = subject
    message["Date"] = format_datetime(at)
    message["Message-ID"] = f"<{key}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday notice answers it
    message.set_content(text)
    for name, mime, content in attachments:
        if _CONTROL.search(name + mime):
            raise MailRefused("an attachment's name and type are one line without control characters")
        kind = _POLICY.header_factory("Content-Type", mime)
        assert isinstance(kind, ContentTypeHeader)
        params = {**({"charset": "utf-8"} if kind.maintype == "text" else {}), **kind.params}
        message.add_attachment(content, maintype=kind.maintype, subtype=kind.subtype, filename=name, params=params)
    return message


def _address(text: str) -> Address:
    """Read exactly one address, with or without a name before it."""
    if _CONTROL.search(text):
        raise MailRefused("an address is one line without control characters")
    try:
        header = _POLICY.header_factory("To", text)
        (address,) = header.addresses
    except (ValueError, IndexError, HeaderParseError, MessageDefect):
        raise MailRefused("this is not one mail address") from None
    if header.defects or not address.username or not address.domain:
        raise MailRefused("this is not one mail address")
    assert isinstance(address, Address)
    return address


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
        to=str(message["To"]),
        subject=str(message["Subject"]),
        sent_at=parsedate_to_datetime(message["Date"]),
        text=body.get_content().replace("\r\n", "\n") if body else "",
        attachments=tuple(part.get_filename() or "" for part in message.iter_attachments()),
    )


def _erase(folder: Path) -> int:
    count = len([*folder.glob("*.eml")])
    return count if remove_folder(folder) else 0
