"""A mail server on loopback."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest


@dataclass
class Received:
    sender: str
    recipients: list[str]
    content: bytes


@dataclass
class Postbox:
    """A mail server on loopback that speaks SMTP (RFC 5321) as far as a sender needs it, and keeps what it is given."""

    port: int = 0
    answers: dict[str, str] = field(default_factory=dict)  # verb -> what to say instead of yes
    speaks: tuple[str, ...] = ("AUTH PLAIN", "8BITMIME", "SMTPUTF8")
    received: list[Received] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mail = Received("", [], b"")
        writer.write(b"220 postbox ESMTP\r\n")
        while line := (await reader.readline()).decode().rstrip("\r\n"):
            verb = line.split()[0].upper()
            assert line.isascii() or "SMTPUTF8" in self.speaks, "RFC 6531: only after both sides said so"
            if verb in self.answers:
                writer.write(f"{self.answers[verb]}\r\n".encode())
                continue
            match verb:
                case "EHLO":
                    writer.write("".join(f"250-{one}\r\n" for one in ("postbox", *self.speaks)).encode())
                    writer.write(b"250 HELP\r\n")
                    continue
                case "AUTH":
                    self.logins.append(line)
                    writer.write(b"235 welcome\r\n")
                    continue
                case "MAIL":
                    mail = Received(line, [], b"")
                case "RCPT":
                    mail.recipients.append(line)
                case "DATA":
                    writer.write(b"354 go on\r\n")
                    mail.content = (await reader.readuntil(b"\r\n.\r\n"))[:-3].replace(b"\r\n..", b"\r\n.")
                    self.received.append(mail)
                case "QUIT":
                    writer.write(b"221 bye\r\n")
                    break
            writer.write(b"250 yes\r\n")
        writer.close()

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}?starttls=0"

    def mails(self) -> list[EmailMessage]:
        return [message_from_bytes(mail.content, policy=policy.default) for mail in self.received]


@pytest.fixture
async def postbox() -> AsyncIterator[Postbox]:
    box = Postbox()
    async with await asyncio.start_server(box.serve, "127.0.0.1", 0) as server:
        box.port = server.sockets[0].getsockname()[1]
        yield box
