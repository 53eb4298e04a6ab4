"""Every setting, read from the environment (`FIRSTHAND_...`) or files of secrets; nothing else reads either."""

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from firsthand.shared.identifiers import InstitutionId, InstitutionSlug

_SECRETS: Final = Path("/run/secrets")  # where containers find them


class CannotStart(Exception):  # noqa: N818 - says what is the case
    """Firsthand does not start; the message is one line that says what is wrong and what to do."""


class ToldSettings(BaseSettings):
    """Settings of the environment, and beneath it of files: `FIRSTHAND_NATS_PASSWORD` may be the content of
    `firsthand_nats_password` in the folder of secrets, which shows in no listing of processes or containers.
    """

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - there are no such files here
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - its folder is fixed when this is imported
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        folder = Path(os.environ.get("FIRSTHAND_SECRETS_DIR") or _SECRETS)
        files = [SecretsSettingsSource(settings_cls, secrets_dir=folder)] if folder.is_dir() else []
        return init_settings, env_settings, *files


class Settings(ToldSettings):
    """The settings of one process. The defaults are the embedded deployment on this machine."""

    model_config = SettingsConfigDict(env_prefix="FIRSTHAND_", extra="ignore", frozen=True)

    data: Annotated[Path, Field(description="databases, media, NATS streams and mail lie below it")] = Path("data")
    keys_dir: Annotated[Path | None, Field(description="keys lie apart, so that data backups leave them out")] = None
    secrets_dir: Annotated[
        Path, Field(description="files named after settings, in small letters, hold what the environment does not")
    ] = _SECRETS
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="0 takes a free one")] = 8080
    public_url: Annotated[
        str, Field(description="the address under which families reach us, without a final slash")
    ] = ""
    nats_url: Annotated[str, Field(description="empty: the embedded server")] = ""
    mongo_url: Annotated[
        str,
        Field(description="mongodb://..., whose path names the databases' prefix; empty: SQLite files below `data`"),
    ] = ""
    keys_mongo_url: Annotated[str, Field(description="where contacts' keys lie; empty: as mongo_url")] = ""
    media_url: Annotated[
        str,
        Field(
            # A bucket's name as S3 has it, then a prefix of plain segments.
            pattern=r"^(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9_.-]+)*/?)?$",
            description="s3://bucket/prefix for finished recordings; empty: a folder below `data`",
        ),
    ] = ""
    media_endpoint: Annotated[
        str,
        Field(
            pattern=r"^(https?://[^/\s]+/?)?$",
            description="the S3 server's address, where it is not Amazon's; http:// for one on a private network",
        ),
    ] = ""
    media_region: str = ""
    media_access_key_id: str = ""
    media_secret_access_key: str = ""
    nats_user: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]*$", description="also part of a subject")] = ""
    nats_password: str = ""
    stream_replicas: Annotated[int, Field(ge=1, le=5)] = 1
    smtp_url: Annotated[str, Field(description="empty: mail is kept in a folder that a page shows")] = ""
    mail_from: str = "firsthand@localhost.localdomain"
    placement: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")] = "all"
    institutions: Annotated[
        tuple[InstitutionSlug, ...], NoDecode, Field(description="comma-separated; empty: all institutions")
    ] = ()
    disk_reserve: Annotated[
        int, Field(ge=0, description="bytes of the disk that uploads and imports leave free; 0: 256 MiB, at most 2 %")
    ] = 0
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    event_metrics: Annotated[bool, Field(description="/metrics also has FastStream's, by type of event")] = False
    event_traces_url: Annotated[
        str,
        Field(
            pattern=r"^(https?://[^/\s]+/\S*)?$",
            description="http://collector:4318/v1/traces: spans of handled events go there; empty: none are made",
        ),
    ] = ""
    proxied: Annotated[
        bool, Field(description="a reverse proxy of ours stands before: its X-Forwarded-For names the client")
    ] = False

    @field_validator("institutions", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("secrets_dir")
    @classmethod
    def _there(cls, value: Path) -> Path:
        if value != _SECRETS and not value.is_dir():
            raise ValueError(f"there is no folder {value}")
        return value

    @field_validator("public_url")
    @classmethod
    def _bare(cls, value: str) -> str:
        return value.rstrip("/")

    @property
    def databases(self) -> Path:
        return self.data / "db"

    @property
    def key_folder(self) -> Path:
        return self.keys_dir or self.data / "keys"

    @property
    def media(self) -> Path:
        return self.data / "media"

    @property
    def mail(self) -> Path:
        return self.data / "mail"

    @property
    def nats(self) -> Path:
        return self.data / "nats"

    @property
    def address(self) -> str:
        """The address that links are made with, without a final slash."""
        return self.public_url or f"http://{self.host}:{self.port}"

    @property
    def address_is_loopback(self) -> bool:
        """Whether links lead nowhere from a family's phone; then none may be copied for a real person."""
        host = urlsplit(self.address).hostname or ""
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return host == "localhost" or host.endswith(".localhost")

    @property
    def served_institutions(self) -> tuple[InstitutionId, ...]:
        return tuple(InstitutionId(slug) for slug in self.institutions)
