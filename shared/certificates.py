"""When the certificate of a TLS server ends, and whether clients take it: over HTTPS, NATS and SMTP."""

import asyncio
import json
import ssl
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import aiosmtplib
from cryptography import x509

_ANSWER_WITHIN: Final = 5.0  # seconds for a whole look
_EXPIRED: Final = 10  # OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED


@dataclass(frozen=True)
class TlsServer:
    """A server that speaks TLS: from the first byte, or after a greeting of its protocol."""

    host: str
    port: int
    begins: Literal["tls", "nats", "starttls"] = "tls"
    authority: str = ""  # the file of the authority that clients trust; empty: the system's

    @property
    def place(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Certificate:
    """The certificate that a server shows."""

    ends: datetime
    refused: str = ""  # why clients do not take it, for another reason than its end; empty when they do


class NotReached(OSError):  # noqa: N818 - says what is the case
    """The server did not answer, or speaks no TLS; the message is for operators."""


async def certificate_of(server: TlsServer) -> Certificate:
    """Look at a server's certificate, also at one that clients would refuse. Raises NotReached."""
    try:
        async with asyncio.timeout(_ANSWER_WITHIN):
            ends = await _ends(server, _unchecked())
            try:
                await _ends(server, ssl.create_default_context(cafile=server.authority or None))
            except (OSError, aiosmtplib.SMTPException) as error:
                refusal = _refusal_in(error)
                if refusal is None:
                    raise
                return Certificate(ends, "" if refusal.verify_code == _EXPIRED else refusal.verify_message)
    except TimeoutError as error:
        raise NotReached(f"{server.place} did not answer within {_ANSWER_WITHIN:.0f} seconds") from error
    except (OSError, aiosmtplib.SMTPException, ValueError, LookupError) as error:
        raise NotReached(f"{server.place} did not answer as a TLS server does: {_reason(error)}") from error
    return Certificate(ends)


def _unchecked() -> ssl.SSLContext:
    """Nothing is sent over it; it only lets a certificate be looked at that is refused otherwise."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _ends(server: TlsServer, context: ssl.SSLContext) -> datetime:
    if server.begins == "starttls":
        return await _mail_server_ends(server, context)
    direct = context if server.begins == "tls" else None
    reader, writer = await asyncio.open_connection(server.host, server.port, ssl=direct)
    try:
        if server.begins == "nats":
            greeting = json.loads((await reader.readline()).removeprefix(b"INFO "))
            if not (greeting.get("tls_required") or greeting.get("tls_available")):
                raise ValueError("it offers no TLS")
            await writer.start_tls(context, server_hostname=server.host)
        return _end_in(writer.get_extra_info("ssl_object"))
    finally:
        writer.transport.abort()


async def _mail_server_ends(server: TlsServer, context: ssl.SSLContext) -> datetime:
    client = aiosmtplib.SMTP(hostname=server.host, port=server.port, start_tls=True, tls_context=context)
    await client.connect()
    try:
        return _end_in(client.get_transport_info("ssl_object"))
    finally:
        client.close()


def _end_in(connection: ssl.SSLObject) -> datetime:
    certificate = connection.getpeercert(binary_form=True)
    if certificate is None:
        raise ValueError("it shows no certificate")
    return x509.load_der_x509_certificate(certificate).not_valid_after_utc


def _refusal_in(error: BaseException) -> ssl.SSLCertVerificationError | None:
    """The reason that OpenSSL gave, also beneath an error of the mail library."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    return cause


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


__all__ = ["Certificate", "NotReached", "TlsServer", "certificate_of"]
