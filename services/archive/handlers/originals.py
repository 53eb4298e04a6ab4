"""The file as it was brought: sealed with two keys, its contact's and its own, so that it can be destroyed alone."""

from firsthand.services.archive.model import Original, Recording
from firsthand.services.archive.model.version import key_owner_of
from firsthand.services.archive.repository import shelf_of
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.keys import derive
from firsthand.shared.service import Context


async def key_of_original(context: Context, institution: InstitutionId, contact_id: str, file: str) -> bytes:
    """Give the key of a file that was brought. Raises KeyErased once either of its keys is destroyed."""
    of_contact = await context.vault.media_key(institution, contact_id)
    own = await context.vault.media_key(institution, key_owner_of(file))
    return derive(of_contact + own, "firsthand original v1")


async def destroy_original(context: Context, recording: Recording, original: Original) -> None:
    """Destroy its key, then the file. Repeating it does no harm."""
    await context.vault.erase(recording.institution, key_owner_of(original.file))
    await shelf_of(context, recording.institution, recording.id).remove(original.file)
