"""The knobs of archive, read from the environment (`FIRSTHAND_ARCHIVE_...`)."""

from typing import Annotated, Final, Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from firsthand.shared.settings import ToldSettings

_GIB: Final = 1024**3


class ArchiveSettings(ToldSettings):
    """What archive takes in, and how long an upload may be left unfinished."""

    model_config = SettingsConfigDict(env_prefix="FIRSTHAND_ARCHIVE_", extra="ignore", frozen=True)

    # Two hours of 1080p as meeting providers record it are about 2 GiB.
    largest_upload: Annotated[int, Field(gt=0, description="bytes of one recording")] = 8 * _GIB
    upload_expires_hours: Annotated[int, Field(gt=0, description="an unfinished upload is forgotten after so long")] = (
        48
    )
    idle_seconds: Annotated[float, Field(gt=0, description="a connection that sends nothing for so long is let go")] = (
        30
    )
    cores: Annotated[int, Field(gt=0, le=64, description="recordings prepared at once; each takes one core")] = 1
    codecs: Annotated[
        Literal["h264", "vp9"],
        Field(description="of viewing copies: h264 (H.264 and AAC) or vp9 (VP9 and Opus)"),
    ] = "h264"
