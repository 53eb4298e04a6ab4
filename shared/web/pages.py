"""Pages: a service's templates, rendered in the visitor's language inside the shared layouts."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import parse_qsl, urlencode

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context as JinjaContext
from starlette.requests import Request
from starlette.responses import HTMLResponse

from firsthand.shared.web.languages import NAMES, Language, language, language_of, territory_of
from firsthand.shared.web.navigation import Section, sections

STATIC: Final = Path(__file__).parent / "static"
_SHELL: Final = Path(__file__).parent
_OF_SERVICE: Final[dict[str, "Pages"]] = {}


class Pages:
    """The pages of one service: templates in `<folder>/pages/*.html`, catalogues in `<folder>/locale/<code>.po`, and
    what they load in `<folder>/static` beside the shared files.
    """

    def __init__(self, service: str, folder: Path) -> None:
        self.service = service
        self._folder = folder
        self._environments: dict[str, Environment] = {}
        self.static_folders = tuple(path for path in (folder / "static", STATIC) if path.is_dir())
        _OF_SERVICE[service] = self

    def language(self, request: Request) -> Language:
        """Give the visitor's language with this service's words in it, for texts that are made in Python."""
        return self.in_language(language_of(request), territory_of(request))

    def in_language(self, code: str, territory: str = "") -> Language:
        """Give a language by its code (unknown: English), e.g. for a mail in the family's own language."""
        return language(code, self._folder / "locale").read_in(territory)

    def text(self, name: str, code: str, /, **context: Any) -> str:
        """Render a template without a request, e.g. a mail's text."""
        return self._environment(self.in_language(code)).get_template(name).render(**context)

    def render(self, request: Request, name: str, /, *, status: int = 200, **context: Any) -> HTMLResponse:
        """Render a page. Templates see `request`, `staff`, `family`, `language`, `language_names`, and these."""
        words = self.language(request)
        shown = (
            self._environment(words)
            .get_template(name)
            .render(
                {
                    "request": request,
                    "staff": getattr(request.state, "staff", None),
                    "family": getattr(request.state, "family", None),
                    "sections": _sections(request, words),
                    "switches": _language_links(request),
                    **context,
                }
            )
        )
        return HTMLResponse(shown, status, headers={"Content-Language": words.code})

    def _environment(self, words: Language) -> Environment:
        name = str(words.locale)
        if name not in self._environments:
            self._environments[name] = self._build(words)
        return self._environments[name]

    def _build(self, words: Language) -> Environment:
        environment = Environment(
            loader=ChoiceLoader([FileSystemLoader(self._folder / "pages"), FileSystemLoader(_SHELL / "templates")]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
        )
        environment.install_gettext_callables(  # type: ignore[attr-defined]
            words.translations.ugettext, words.translations.ungettext, newstyle=True
        )
        for name in ("gettext", "ngettext"):
            environment.globals[name] = _isolating(cast("Callable[..., str]", environment.globals[name]), words)
        environment.globals.update(language=words, language_names=NAMES, service=self.service, static=self.static)
        environment.filters.update(
            date=words.date,
            time=words.time,
            when=words.when,
            place=words.place,
            duration=words.duration,
            ago=words.ago,
            number=words.number,
            tongue=words.tongue,
            series=words.series,
        )
        return environment

    def static(self, name: str) -> str:
        """Give the address of a static file, the service's own or a shared one, with its content's hash, so that it is
        cached for long.
        """
        return f"/{self.service}/static/{name}?v={_fingerprint(name, self.static_folders)}"


def _isolating(translate: Callable[..., str], words: Language) -> Callable[..., str]:
    """Fill the places of a text as `Language.gettext` does."""

    @pass_context
    def isolating(context: JinjaContext, *texts: object, **values: object) -> str:
        return translate(context, *texts, **words.isolated(values))

    return isolating


def pages_of(service: str) -> Pages:
    """Give the pages of a service that has some, else pages with the shell's own words."""
    return _OF_SERVICE.get(service) or Pages(service, _SHELL)


@cache
def _fingerprint(name: str, folders: tuple[Path, ...]) -> str:
    path = next(folder / name for folder in folders if (folder / name).is_file())
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _sections(request: Request, words: Language) -> list[dict[str, str]]:
    """The entries of the navigation that the visitor may open, in the words of the services that brought them."""
    menu: Sequence[Section] = getattr(request.app.state, "menu", ())
    return [
        {"key": one.key, "url": one.url, "text": language(words.code, one.catalogues).gettext(one.text)}
        for one in sections(menu, getattr(request.state, "staff", None))
    ]


def _language_links(request: Request) -> Mapping[str, str]:
    """Each language's code with the address that shows this page in it: by its query alone, since a path that a
    stranger made up (`//evil.example/`) would lead away.
    """
    kept = [(key, value) for key, value in parse_qsl(request.url.query) if key != "lang"]
    return {code: f"?{urlencode([*kept, ('lang', code)])}" for code in NAMES}


__all__ = ["STATIC", "Pages", "pages_of"]
