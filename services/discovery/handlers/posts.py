"""Posts come in: a platform's answers, as they stream."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from firsthand.services.discovery.model.accounts import Account
from firsthand.services.discovery.model.authors import authors
from firsthand.services.discovery.model.cases import Case
from firsthand.services.discovery.model.hashtags import matching, wanted
from firsthand.services.discovery.model.leads import (
    KEPT_FOR,
    LONGEST_TEXT,
    Content,
    Gone,
    LapsedBecause,
    Lead,
    Source,
    Week,
    week_ends,
    week_of,
)
from firsthand.services.discovery.model.people import NAMES
from firsthand.services.discovery.model.sites import Platform
from firsthand.services.discovery.posts import (
    AccountBack,
    AccountGone,
    Entries,
    Entry,
    Format,
    Ignored,
    Post,
    Removed,
    Unreadable,
    entries_of,
    read_entry,
    recognise,
)
from firsthand.services.discovery.repository import Repository
from firsthand.shared.refused import Refused
from firsthand.shared.service import Context, use_case
from firsthand.shared.sessions import Staff
from firsthand.shared.store import AlreadyExists, Conflict
from firsthand.shared.texts import N_
from firsthand.shared.vault import Sealed

# So many posts are sealed with one reading of the key and committed together.
_GROUP: Final = 256
# Enough bytes to tell a format by (the outermost keys come first in all platforms' answers).
_HEAD: Final = 8192
_PIECE: Final = 64 * 1024  # bytes that are parsed before others get their turn
_WAIT_FOR_CALM: Final = 5.0  # seconds before each group, while the process is behind
_BYTE_ORDER: Final = b"\xef\xbb\xbf"
REPORTED: Final = 1000  # unreadable entries named one by one; the rest are counted


Outcome = Literal["imported", "merged", "changed"]


@dataclass
class Report:
    """What became of the entries of an import. `problems`: at most 1000 of `unreadable`, by number and reason.

    `changed`: leads among `merged` that the import changed. `lapsed`: leads that wait no more, other than by deletion.
    """

    format: Format
    imported: int = 0
    merged: int = 0
    ignored: int = 0
    removed: int = 0
    unreadable: int = 0
    problems: list[Unreadable] = field(default_factory=list)
    ignored_because: Counter[str] = field(default_factory=Counter)
    entries: int = 0
    changed: int = 0
    lapsed: int = 0

    @property
    def is_unread(self) -> bool:
        """Whether nothing at all could be read, so that nobody knows what is new."""
        return self.entries == self.unreadable

    def note_unreadable(self, entry: Unreadable) -> None:
        self.unreadable += 1
        if len(self.problems) < REPORTED:
            self.problems.append(entry)

    def note_ignored(self, because: str) -> None:
        self.ignored += 1
        self.ignored_because[because] += 1

    def note(self, outcome: Outcome) -> None:
        if outcome == "imported":
            self.imported += 1
        else:
            self.merged += 1
            self.changed += outcome == "changed"

    def note_removed(self, was_waiting: bool) -> None:
        if was_waiting:
            self.removed += 1
        else:
            self.note_ignored("not-a-post")

    def note_lapsed(self, leads: int) -> None:
        self.lapsed += leads


@dataclass(frozen=True)
class Intake:
    """One import into one case."""

    context: Context
    repository: Repository
    case: Case
    source: Source
    found_by: str
    at: datetime
    hashtags: Mapping[str, str]
    earlier: frozenset[str] | None = None  # marks of an earlier release, read once for many posts

    @property
    def week(self) -> str:
        return week_of(self.case.id, self.at)


@dataclass(frozen=True)
class Found:
    """A post with the hashtags of the case that it carries."""

    post: Post
    tags: list[str]


Word = Found | Removed | Ignored | AccountGone | AccountBack
Read = Word | Unreadable


async def import_posts(
    context: Context, staff: Staff, case_id: str, format_: Format | None, chunks: AsyncIterator[bytes]
) -> Report:
    """Import a platform's responses as they stream, in flat memory. `format_` None: detected from the content.

    Raises Refused: no such case, closed, or not the format. What went in before a connection broke stays in; the same
    content again merges.
    """
    repository = Repository(context, staff.institution)
    case = opened(await repository.case(case_id))
    head, chunks = await _head_of(chunks)
    format_ = _checked(head, format_)
    intake = Intake(
        context,
        repository,
        case,
        format_,
        staff.person_id,
        context.clock.now(),
        wanted(case.details.hashtags),
        await repository.earlier_marks(),
    )
    await keep_week(intake)
    return await _take_all(intake, entries_of(format_), format_, chunks)


async def _take_all(intake: Intake, entries: Entries, format_: Format, chunks: AsyncIterator[bytes]) -> Report:
    """Read on while the group before is being stored."""
    report, group = Report(format_), list[Word]()
    storing: asyncio.Task[None] | None = None
    async for read in _each(intake, entries, format_, chunks):
        report.entries += 1
        if isinstance(read, Unreadable):
            report.note_unreadable(read)
            continue
        if isinstance(read, Ignored):
            report.note_ignored(read.because)
        if not isinstance(read, Ignored) or read.permalink or read.owners:
            group.append(read)
        if len(group) >= _GROUP:
            if storing:
                await storing
            await intake.context.load.calm(within=_WAIT_FOR_CALM)
            intake.context.disk.admit_bulk(looked=True)
            storing = asyncio.create_task(_store(intake, group, report))
            group = []
    if storing:
        await storing
    await _store(intake, group, report)
    return report


async def _each(intake: Intake, entries: Entries, format_: Format, chunks: AsyncIterator[bytes]) -> AsyncIterator[Read]:
    """Read piece by piece, away from the event loop: a single post may be made to take long."""

    def read(complete: Iterable[Entry | Unreadable]) -> list[Read]:
        return [_read(intake, format_, entry) for entry in complete]

    async for chunk in chunks:
        for one in await asyncio.to_thread(lambda piece: read(entries.feed(piece)), chunk):
            yield one
    for one in await asyncio.to_thread(lambda: read(entries.finish())):
        yield one


def _read(intake: Intake, format_: Format, entry: Entry | Unreadable) -> Read:
    """Read an entry. A post without a hashtag of the case is left out."""
    read = entry if isinstance(entry, Unreadable) else read_entry(format_, entry)
    if not isinstance(read, Post):
        return read
    tags = matching(intake.hashtags, read.tags, read.text)
    return Found(read, tags) if tags else Ignored("no-hashtag", read.permalink, changed_at=read.changed_at)


async def _store(intake: Intake, group: Sequence[Word], report: Report) -> None:
    """Store a group side by side, so that it is committed together. Of words about one post the last one counts."""
    run: dict[str, Word] = {}
    for word in group:
        subject = "" if isinstance(word, AccountGone | AccountBack) else _permalink(word)
        if not subject or subject in run or (isinstance(word, Ignored) and word.owners):
            await _store_run(intake, run.values(), report)
            run = {}
        run[subject] = word
    await _store_run(intake, run.values(), report)


async def _store_run(intake: Intake, run: Collection[Word], report: Report) -> None:
    """Store words that are each about a post of its own; what may concern an author's other posts comes first."""
    for word in run:
        if isinstance(word, AccountGone):
            report.note_ignored("not-a-post")
            report.note_lapsed(await _end_account(intake, word.owners))
        elif isinstance(word, AccountBack):
            report.note_ignored("not-a-post")
            await _forget_end(intake, word.owners)
        elif isinstance(word, Ignored):
            report.note_lapsed(await _leave_out(intake, word))
    found = [one for one in run if isinstance(one, Found)]
    made = [(lead, _content(one.post)) for one in found if (lead := await _wanted(intake, one, report))]
    texts = {lead.id: content.model_dump_json(exclude_defaults=True) for lead, content in made}
    sealed = await intake.context.vault.seal_many(intake.repository.institution, intake.week, texts) if texts else {}
    stored = [_insert(intake, lead, sealed[lead.id], content) for lead, content in made]
    for outcome in await asyncio.gather(*stored):
        report.note(outcome)
    for gone in await asyncio.gather(*(_delete(intake, one.permalink) for one in run if isinstance(one, Removed))):
        report.note_removed(gone)


def _permalink(word: Found | Removed | Ignored) -> str:
    return word.post.permalink if isinstance(word, Found) else word.permalink


async def _wanted(intake: Intake, found: Found, report: Report) -> Lead | None:
    """Make the lead of a post whose author may be asked."""
    post = found.post
    if await intake.repository.asked_before(post.owners, among=intake.earlier):
        report.note_ignored("asked-before")
        return None
    if await _is_gone(intake, post):
        report.note_ignored("deleted")
        return None
    at = min(post.posted_at or intake.at, intake.at)  # some clients write times that are yet to come
    lead = lead_of(intake, post.platform, post.permalink, post.owners, posted_at=at)
    lead.language, lead.tags, lead.changed_at = post.language, found.tags, post.changed_at
    return lead


async def _is_gone(intake: Intake, post: Post) -> bool:
    """Return whether the post or its author's account was deleted before it came."""
    repository = intake.repository
    marks = [repository.lead_id(intake.case.id, post.permalink), *repository.marks_of(post.owners)]
    return any([await repository.gone.get(mark) is not None for mark in marks])


def lead_of(
    intake: Intake, platform: Platform, permalink: str, owners: Sequence[Account], *, posted_at: datetime
) -> Lead:
    """Make a lead, its content still to be sealed."""
    marks = intake.repository.marks_of(owners)
    return Lead(
        id=intake.repository.lead_id(intake.case.id, permalink),
        institution=intake.repository.institution,
        due_at=intake.at + KEPT_FOR,
        case_id=intake.case.id,
        platform=platform,
        source=intake.source,
        posted_at=posted_at,
        found_at=intake.at,
        found_by=intake.found_by,
        author=marks[0] if marks else None,
        also=marks[1] if len(marks) > 1 else None,
        week=intake.week,
    )


async def _insert(intake: Intake, lead: Lead, sealed: Sealed, content: Content) -> Outcome:
    lead.content = sealed
    try:
        await intake.repository.leads.insert(lead)
    except AlreadyExists:
        return await _look_again(intake, lead, content)
    return "imported"


@use_case
async def _look_again(intake: Intake, later: Lead, content: Content) -> Outcome:
    """Let a later look at a waiting post replace what was known. One older than a known edit changes nothing."""
    lead = await intake.repository.leads.get(later.id)
    known = await intake.repository.content_of(lead) if lead else None
    if lead is None or lead.state != "waiting" or known is None or not lead.accepts(later.changed_at):
        return "merged"
    seen = known.seen_again(content)
    if lead.source == "by-hand" and known.text:  # the note of whoever found it
        seen = seen.model_copy(update={"text": known.text})
    changed = seen != known or lead.tags != later.tags
    if seen != known:
        text = seen.model_dump_json(exclude_defaults=True)
        lead.content = await intake.context.vault.seal(lead.institution, lead.week, lead.id, text)
    lead.tags, lead.language = later.tags, later.language or lead.language
    marks = intake.repository.marks_of(authors(lead.platform, seen))
    lead.author, lead.also = (*marks, None, None)[:2]
    lead.changed_at, lead.looked_at, lead.looked_by = later.changed_at, intake.at, intake.source
    await intake.repository.leads.save(lead)
    return "changed" if changed else "merged"


async def _leave_out(intake: Intake, ignored: Ignored) -> int:
    """Let what waits of a left-out post lapse, and of its author if the author is the reason. Tells how many did."""
    because = ignored.because
    if because == "not-a-post" or because == "asked-before":  # noqa: PLR1714 - narrows the type
        return 0
    lapsed = int(bool(ignored.permalink) and await _let_go(intake, ignored.permalink, because, ignored.changed_at))
    return lapsed + await _let_author_go(intake, ignored.owners, because)


async def _delete(intake: Intake, permalink: str) -> bool:
    """Let a deleted post go, and remember it in case the post comes later. Tells whether it was waiting here."""
    await _remember(intake, intake.repository.lead_id(intake.case.id, permalink))
    return await _let_go(intake, permalink, "deleted")


async def _end_account(intake: Intake, owners: Sequence[Account]) -> int:
    """Let all go that waits of an account that is no more, and remember it. Tells how many leads waited."""
    for mark in intake.repository.marks_of(owners):
        await _remember(intake, mark)
    return await _let_author_go(intake, owners, "account-gone")


async def _forget_end(intake: Intake, owners: Sequence[Account]) -> None:
    """An account is back. What lapsed stays lapsed: nobody knows whether its author wants to be found again."""
    for mark in intake.repository.marks_of(owners):
        if gone := await intake.repository.gone.get(mark):
            with contextlib.suppress(Conflict):  # its time was over at this moment
                await intake.repository.gone.delete(gone)


async def _remember(intake: Intake, mark: str) -> None:
    gone = Gone(id=mark, institution=intake.repository.institution, due_at=intake.at + KEPT_FOR)
    with contextlib.suppress(AlreadyExists):
        await intake.repository.gone.insert(gone)


@use_case
async def _let_go(intake: Intake, permalink: str, because: LapsedBecause, changed_at: datetime | None = None) -> bool:
    """Let the lead of a post lapse. Tells whether it was waiting here.

    A post that was added by hand needs no hashtag, and an older text tells of no removed one.
    """
    lead = await intake.repository.leads.get(intake.repository.lead_id(intake.case.id, permalink))
    if lead is None or lead.state != "waiting":
        return False
    if because == "no-hashtag" and (lead.source == "by-hand" or not lead.accepts(changed_at)):
        return False
    lead.lapse(because, intake.at)
    await intake.repository.leads.save(lead)
    return True


@use_case
async def _let_author_go(intake: Intake, owners: Sequence[Account], because: LapsedBecause) -> int:
    """Let all leads of an author lapse, in every case of the institution."""
    lapsed = 0
    for mark in intake.repository.marks_of(owners):
        for field_ in ("author", "also"):
            while waiting := (await intake.repository.leads.find({field_: mark, "state": "waiting"})).items:
                for lead in waiting:
                    lead.lapse(because, intake.at)
                    await intake.repository.leads.save(lead)
                    lapsed += 1
    return lapsed


async def keep_week(intake: Intake) -> None:
    """See that the week whose key seals these leads is looked after when it is over."""
    week = Week(
        id=intake.week,
        institution=intake.repository.institution,
        case_id=intake.case.id,
        due_at=week_ends(intake.at),
        names=NAMES,
    )
    with contextlib.suppress(AlreadyExists):
        await intake.repository.weeks.insert(week)


def _content(post: Post) -> Content:
    return Content(
        permalink=post.permalink,
        text=post.text[:LONGEST_TEXT],
        handle=post.handle,
        name=post.name[:200],
        profile=post.profile,
        accounts=list(post.accounts),
        elsewhere=list(post.elsewhere),
        labels=list(post.labels),
    )


async def _head_of(chunks: AsyncIterator[bytes]) -> tuple[bytes, AsyncIterator[bytes]]:
    """Read enough to tell the format; give it, and the whole from its beginning in small pieces."""
    head = b""
    async for chunk in chunks:
        head += chunk
        if len(head) >= _HEAD:
            break

    async def whole() -> AsyncIterator[bytes]:
        for piece in _pieces(head.removeprefix(_BYTE_ORDER)):
            yield piece
        async for chunk in chunks:
            for piece in _pieces(chunk):
                yield piece

    return head, whole()


def _pieces(chunk: bytes) -> Iterator[bytes]:
    for start in range(0, len(chunk), _PIECE):
        yield chunk[start : start + _PIECE]


def _checked(head: bytes, said: Format | None) -> Format:
    """Detect the format of a content. Raises Refused when it is unknown, or not the given one."""
    found = recognise(head)
    if said == "jetstream" and found is None and head.strip():
        return said  # its first line may be broken; each line is judged for itself
    if found is None or (said and said != found):
        raise Refused(
            "not-this-format",
            N_("Upload the file exactly as the platform's API returned it: Bluesky, Jetstream, Mastodon or Instagram."),
            title=N_("This file is not from that platform") if said else N_("This file is not from a platform we know"),
            kind="invalid",
            fields={"format": N_("The content does not match the format")},
        )
    return found


def opened(case: Case) -> Case:
    """Return the case if it accepts leads. Raises Refused."""
    if case.state == "closed":
        raise Refused(
            "case-closed", N_("A coordinator can open it again on the case's page."), title=N_("This case is closed")
        )
    return case


__all__ = ["REPORTED", "Intake", "Report", "import_posts", "keep_week", "lead_of", "opened"]
