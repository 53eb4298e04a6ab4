"""The family's own reading of what is said in its recording."""

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Form, Request
from pydantic import BaseModel
from starlette.responses import RedirectResponse, Response

from firsthand.services.archive.gate import CannotTell, NotOpen, gate_of
from firsthand.services.archive.handlers.transcripts import (
    Written,
    approve_transcript,
    change_line,
    read_by_family,
    remove_transcript,
    silence_line,
    transcripts_of,
)
from firsthand.services.archive.http import editing
from firsthand.services.archive.http.doors import context_of, family_viewer, told
from firsthand.services.archive.http.pages import pages
from firsthand.services.archive.http.transcripts import LanguageCode
from firsthand.services.archive.http.words import CANNOT_TELL, CANNOT_TELL_TITLE
from firsthand.services.archive.model import Transcript
from firsthand.services.archive.model.edits import clock_of
from firsthand.shared.inputs import Count, Note, Word
from firsthand.shared.refused import Refused
from firsthand.shared.service import Context
from firsthand.shared.sessions import Family
from firsthand.shared.web.access import FamilySession
from firsthand.shared.web.problems import status_of

_LINES: Final = 200  # on a page

router = APIRouter(include_in_schema=False)


class Acted(BaseModel):
    """What a family does with a written version, or with one of its lines."""

    act: Literal["approve", "remove", "change", "silence"]
    language: LanguageCode
    seen: Count = 0
    number: Count = 0
    text: Note = ""


@router.get("/family/words")
async def words(
    request: Request, family: FamilySession, language: LanguageCode | None = None, line: Count | None = None,
    begin: Count = 0, done: Word = "",
) -> Response:  # fmt: skip
    return await _words(request, family, language, line=line, begin=begin, done=done)


@router.post("/family/words")
async def act(request: Request, family: FamilySession, acted: Annotated[Acted, Form()]) -> Response:
    of = (context_of(request), family.institution, family.contact_id, acted.language)
    begin = acted.number // _LINES * _LINES
    try:
        with told():
            match acted.act:
                case "approve":
                    await approve_transcript(*of, acted.seen)
                case "remove":
                    await remove_transcript(*of, by="family")
                case "silence":
                    await silence_line(*of, acted.number, acted.seen)
                case "change":
                    await change_line(*of, acted.number, acted.seen, acted.text)
    except Refused as refused:
        return await _words(
            request, family, acted.language, line=acted.number if acted.act == "change" else None, begin=begin,
            text=acted.text, refused=refused.text, status=status_of(refused),
        )  # fmt: skip
    if acted.act == "silence":
        return RedirectResponse("/archive/family/edit", 303)
    place = f"&begin={begin}#line-{max(0, acted.number - 1)}" if acted.act == "change" else ""
    return RedirectResponse(f"/archive/family/words?language={acted.language}&done={acted.act}{place}", 303)


async def _words(
    request: Request, family: Family, language: str | None, *, line: int | None = None, begin: int = 0,
    text: str | None = None, done: str = "", refused: str = "", status: int = 200,
) -> Response:  # fmt: skip
    context, gate = context_of(request), gate_of(context_of(request))
    found = await gate.standing(family.institution, family.contact_id)
    there = await transcripts_of(context, found) if found else []
    chosen = next((one for one in there if one.language == language), there[0] if there else None)
    read, sure = await _read(context, family, chosen)
    cues = read.cues if read else []
    begin = begin // _LINES * _LINES
    return pages.render(
        request,
        "your_words.html",
        status=status,
        one=found,
        there=there,
        chosen=chosen,
        read=read,
        sure=sure,
        lines=list(enumerate(cues))[begin : begin + _LINES],
        more=begin + _LINES if len(cues) > begin + _LINES else None,
        before=max(0, begin - _LINES) if begin else None,
        line=line,
        text=text,
        clock=clock_of,
        can_silence=editing.is_editable(found),
        done=done,
        refused=refused,
        cannot_tell=(CANNOT_TELL_TITLE, CANNOT_TELL),
    )


async def _read(context: Context, family: Family, chosen: Transcript | None) -> tuple[Written | None, bool]:
    """What the family reads, and whether anything of its recording can be shown now."""
    try:
        await gate_of(context).admit(family.institution, family.contact_id, family_viewer(family))
        if chosen is None:
            return None, True
        return await read_by_family(context, family.institution, family.contact_id, chosen.language), True
    except (CannotTell, NotOpen):
        return None, False
