"""Resumable uploads by tus 1.0.0 (https://tus.io/protocols/resumable-upload): core, creation, termination, expiration,
checksum. A tutor's browser uses it, or any tus client with a bearer token.
"""

import base64
import binascii
from collections.abc import Callable, Coroutine
from datetime import datetime
from email.utils import format_datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Request
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from firsthand.services.archive.handlers.uploads import (
    ChecksumMismatch,
    NotThere,
    WrongOffset,
    begin_upload,
    complete,
    end_upload,
    offset_of,
    receive,
)
from firsthand.services.archive.http.doors import ContactTutor, UploadTutor, context_of, told
from firsthand.services.archive.model import Upload
from firsthand.services.archive.repository import Uploads
from firsthand.services.archive.settings import ArchiveSettings
from firsthand.shared.identifiers import Id
from firsthand.shared.inputs import length_of
from firsthand.shared.refused import Refused
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff
from firsthand.shared.texts import N_
from firsthand.shared.web.access import Public
from firsthand.shared.web.problems import Problem, answer_with, problem_of
from firsthand.shared.web.security import Streamed
from firsthand.shared.web.shedding import Bulk

VERSION: Final = "1.0.0"
CONTENT_TYPE: Final = "application/offset+octet-stream"
_CHECKSUM_MISMATCH: Final = 460  # tus's own status
Length = Annotated[int | None, Header(alias="Upload-Length", ge=0, le=2**63 - 1)]


class TusRoute(APIRoute):
    """Refuses other versions of the protocol, and says ours in every answer, problems included."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def speak(request: Request) -> Response:
            if request.method != "OPTIONS" and request.headers.get("tus-resumable") != VERSION:
                other = Problem(412, N_("This server supports tus 1.0.0 only"), headers={"Tus-Version": VERSION})
                return answer_with(request, other)
            try:
                answer = await handle(request)
            except Problem as problem:
                answer = answer_with(request, problem)
            except Refused as refused:
                answer = answer_with(request, problem_of(request, refused))
            answer.headers["Tus-Resumable"] = VERSION
            return answer

        return speak


router = APIRouter(
    prefix="/api/v1",
    route_class=TusRoute,
    responses={
        412: {"description": "another version of tus; Tus-Version names ours"},
        423: {"description": "another request writes to this upload; see Retry-After"},
    },
)


@router.options("/recordings/{contact_id}/uploads", status_code=204)
async def options(contact_id: Id, _: Public) -> Response:  # noqa: ARG001 - the same for every contact
    return Response(
        status_code=204,
        headers={
            "Tus-Version": VERSION,
            "Tus-Extension": "creation,expiration,termination,checksum",
            "Tus-Checksum-Algorithm": "sha256",
            "Tus-Max-Size": str(ArchiveSettings().largest_upload),
        },
    )


@router.post(
    "/recordings/{contact_id}/uploads",
    status_code=201,
    response_class=Response,
    responses={201: {"description": "begun", "headers": {"Location": {"schema": {"type": "string"}}}}},
)
async def create(
    request: Request, contact_id: Id, staff: ContactTutor, _: Bulk, upload_length: Length = None
) -> Response:
    """Begin an upload. `Upload-Metadata` is not kept: a file's name may be somebody's name."""
    if upload_length is None or length_of(request.headers["upload-length"]) is None:  # `+5` is a number to pydantic
        raise Problem(400, N_("Give the size of the recording"), N_("The header Upload-Length is missing."))
    with told():
        upload = await begin_upload(
            context_of(request), staff.institution, contact_id, length=upload_length, by=staff.person_id
        )
    place = f"/archive/api/v1/uploads/{upload.id}"
    return Response(status_code=201, headers={"Location": place, **_expires(upload.expires_at)})


@router.head(
    "/uploads/{upload_id}",
    name="offset",
    response_class=Response,
    responses={200: {"description": "how much is safe", "headers": {"Upload-Offset": {"schema": {"type": "integer"}}}}},
)
async def offset(request: Request, upload_id: Id, staff: UploadTutor) -> Response:
    context = context_of(request)
    with told():
        upload = await _upload(context, staff, upload_id)
        safe = await offset_of(context, upload)
    return Response(
        headers={"Upload-Offset": str(safe), "Upload-Length": str(upload.length), **_expires(upload.expires_at)}
    )


@router.patch(
    "/uploads/{upload_id}",
    status_code=204,
    responses={
        408: {"description": "nothing came for a while; what came is safe"},
        415: {"description": "the body is not application/offset+octet-stream"},
        _CHECKSUM_MISMATCH: {"description": "the bytes are not those of Upload-Checksum; none was kept"},
    },
)
async def patch(request: Request, upload_id: Id, staff: UploadTutor, chunks: Streamed) -> Response:
    """Take bytes from `Upload-Offset` on. With the last one the recording is checked and held, or refused: 422."""
    context = context_of(request)
    if request.headers.get("content-type") != CONTENT_TYPE:
        raise Problem(
            415,
            N_("This request must carry the bytes of an upload"),
            N_("Send them as application/offset+octet-stream."),
        )
    begin = length_of(request.headers.get("upload-offset", ""))
    if begin is None:
        raise Problem(400, N_("Say where these bytes start"), N_("The header Upload-Offset is missing."))
    checksum = _checksum(request.headers.get("upload-checksum"))
    with told():
        upload = await _upload(context, staff, upload_id)
        try:
            safe = await receive(context, upload, offset=begin, chunks=chunks, sha256=checksum)
        except WrongOffset as wrong:
            raise Problem(
                409,
                N_("The bytes do not continue where the upload stopped"),
                headers={"Upload-Offset": str(wrong.offset)},
            ) from None
        except ChecksumMismatch:
            raise Problem(_CHECKSUM_MISMATCH, N_("The bytes changed in transit"), N_("Send them again.")) from None
        except (ClientDisconnect, TimeoutError):  # what came is safe; the client comes back for the rest
            raise Problem(408, N_("The upload was interrupted"), N_("Continue where it stopped.")) from None
        if safe == upload.length:
            await complete(context, upload)
    return Response(status_code=204, headers={"Upload-Offset": str(safe), **_expires(upload.expires_at)})


@router.delete("/uploads/{upload_id}", status_code=204)
async def delete(request: Request, upload_id: Id, staff: UploadTutor) -> Response:
    context = context_of(request)
    with told():
        await end_upload(context, await _upload(context, staff, upload_id))
    return Response(status_code=204)


async def _upload(context: Context, staff: Staff, upload_id: str) -> Upload:
    upload = await Uploads(context, staff.institution).get(upload_id)
    if upload is None:
        raise NotThere
    if upload.stage == "receiving" and upload.expires_at <= context.clock.now():
        raise Problem(410, N_("This upload has expired"), N_("Start again."))
    return upload


def _expires(at: datetime) -> dict[str, str]:
    return {"Upload-Expires": format_datetime(at, usegmt=True)}


def _checksum(header: str | None) -> bytes | None:
    """Read `sha256 <base64>`. Raises Problem for anything else."""
    if header is None:
        return None
    algorithm, _, value = header.partition(" ")
    try:
        if algorithm != "sha256":
            raise ValueError(algorithm)  # noqa: TRY301 - one answer for all that cannot be read
        return base64.b64decode(value, validate=True)
    except (ValueError, binascii.Error):
        raise Problem(400, N_("The checksum cannot be read"), N_("Send it as: sha256, a space, base64.")) from None
