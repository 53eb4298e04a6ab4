"""Shared by the doors: identifying the visitor, and turning refusals into problems."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

from fastapi import Depends, Request

from firsthand.services.archive.gate import CannotTell, NotOpen
from firsthand.services.archive.handlers.uploads import NotThere
from firsthand.services.archive.http.words import CANNOT_TELL, CANNOT_TELL_TITLE, NOT_OPEN, NOT_OPEN_TITLE
from firsthand.services.archive.model import Viewer
from firsthand.services.archive.repository import Recordings, Uploads
from firsthand.shared.acting import Responsible, responsible_for
from firsthand.shared.bucket import BucketUnavailable
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.media import MediaBusy, MediaDamaged
from firsthand.shared.service import Context
from firsthand.shared.sessions import Family, Staff
from firsthand.shared.texts import N_
from firsthand.shared.vault import KeyErased
from firsthand.shared.web.access import acting_on
from firsthand.shared.web.problems import Problem

_RETRY_AFTER: Final = "2"  # seconds; the pulse comes every second


def context_of(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


def viewer_of(staff: Staff) -> Viewer:
    return Viewer(
        person_id=staff.person_id,
        cohorts=staff.cohorts,
        human="machine" not in staff.roles,
        student="student" in staff.roles,
    )


def family_viewer(family: Family) -> Viewer:
    return Viewer(family=True, person_id=family.contact_id)


async def _of_recording(context: Context, institution: InstitutionId, contact_id: str) -> Responsible | None:
    found = await Recordings(context, institution).get(contact_id)
    if found is None:
        return None
    return await responsible_for(context, institution, found.contact.case_id, found.contact.tutor_id)


async def _of_upload(context: Context, institution: InstitutionId, upload_id: str) -> Responsible | None:
    upload = await Uploads(context, institution).get(upload_id)
    return await _of_recording(context, institution, upload.contact_id) if upload else None


def _no_recording() -> Problem:
    return Problem(404, NOT_OPEN_TITLE, NOT_OPEN)


ContactTutor = Annotated[Staff, Depends(acting_on("contact_id", _of_recording, _no_recording))]
UploadTutor = Annotated[Staff, Depends(acting_on("upload_id", _of_upload, _no_recording))]


@contextmanager
def told() -> Iterator[None]:
    """Turn a use case's exception into the problem that the visitor sees."""
    try:
        yield
    except CannotTell:
        raise Problem(503, CANNOT_TELL_TITLE, CANNOT_TELL, headers={"Retry-After": _RETRY_AFTER}) from None
    except (NotOpen, NotThere, KeyErased, FileNotFoundError):
        raise _no_recording() from None
    except BucketUnavailable as error:
        raise Problem(
            503,
            N_("Recordings are not available right now"),
            N_("Nothing is lost. Try again in a moment."),
            headers={"Retry-After": str(error.retry_after)},
        ) from None
    except MediaBusy:
        raise Problem(
            423,
            N_("Another upload of this recording is in progress"),
            N_("Wait until it is finished, or cancel it, and try again."),
            headers={"Retry-After": _RETRY_AFTER},
        ) from None
    except MediaDamaged:
        raise Problem(
            500,
            N_("The recording cannot be read"),
            N_("The file is damaged. Upload it again, or restore it from a backup."),
        ) from None
