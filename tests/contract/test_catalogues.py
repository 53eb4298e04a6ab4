"""Every word that a page says is there in every language of the pages."""

from pathlib import Path

import pytest

from firsthand.shared.web import catalogues
from firsthand.shared.web.languages import DEFAULT, NAMES, language

LANGUAGES = [code for code in NAMES if code != DEFAULT]


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("name", catalogues.folders())
def test_every_text_is_translated(name: str, code: str) -> None:
    assert catalogues.faults(name, code) == []


def _service(root: Path, code: str, page: str) -> Path:
    folder = root / "services" / "tea"
    (folder / "pages").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "http.py").write_text(code)
    (folder / "pages" / "page.html").write_text(page)
    return folder


def test_texts_are_found_in_code_templates_and_problems(tmp_path: Path) -> None:
    folder = _service(
        tmp_path,
        'x = N_("in code")\nwords.ngettext("one cup", "%(num)d cups", 2)\n'
        'raise Problem(404, "No such tea", detail="Ask again.", cups=f"{x}")\n',
        '{{ _("in a page") }}{% trans n=3 %}a {{ n }}{% pluralize %}many {{ n }}{% endtrans %}{{ _("Yes") }}',
    )
    assert list(catalogues.texts_of(folder)) == [
        "in code",
        ("one cup", "%(num)d cups"),
        "No such tea",
        "Ask again.",
        "in a page",
        ("a %(n)s", "many %(n)s"),
        "Yes",
    ]
    assert "Yes" not in catalogues.needed("tea", tmp_path), "the shell says it already"


def test_what_is_missing_empty_unsure_or_filled_otherwise_is_told(tmp_path: Path) -> None:
    folder = _service(tmp_path, 'N_("a"), N_("b"), N_("c %(x)s"), ngettext("%(num)d d", "%(num)d ds", 1)', "")
    assert len(catalogues.faults("tea", "es", tmp_path)) == 4
    catalogues.update("tea", "es", tmp_path)
    path = folder / "locale" / "es.po"
    assert all("empty" in fault for fault in catalogues.faults("tea", "es", tmp_path))
    path.write_text(
        path.read_text()
        .replace('msgid "a"\nmsgstr ""', 'msgid "a"\nmsgstr "A"')
        .replace('msgid "b"\nmsgstr ""', '#, fuzzy\nmsgid "b"\nmsgstr "B"')
        .replace('msgid "c %(x)s"\nmsgstr ""', 'msgid "c %(x)s"\nmsgstr "C %(y)s"')
        .replace('msgstr[0] ""\nmsgstr[1] ""', 'msgstr[0] "un d"\nmsgstr[1] "%(num)d ds"')
        + '\nmsgid "gone"\nmsgstr "ido"\n'
    )
    assert catalogues.faults("tea", "es", tmp_path) == [
        "tea/es: not sure (fuzzy): 'b'",
        "tea/es: other places to fill: 'c %(x)s'",
        "tea/es: no page says this any more: 'gone'",
    ]
    assert language("es", folder / "locale").ngettext("%(num)d d", "%(num)d ds", 1) == "un d"


def test_an_update_keeps_what_is_translated(tmp_path: Path) -> None:
    folder = _service(tmp_path, 'N_("a")', "")
    catalogues.update("tea", "ar", tmp_path)
    path = folder / "locale" / "ar.po"
    path.write_text(path.read_text().replace('msgid "a"\nmsgstr ""', 'msgid "a"\nmsgstr "أ"'))
    (folder / "http.py").write_text('N_("b"), N_("a")')
    catalogues.update("tea", "ar", tmp_path)
    assert catalogues.faults("tea", "ar", tmp_path) == ["tea/ar: empty, or not 1 forms: 'b'"]


def test_arabic_has_its_six_forms(tmp_path: Path) -> None:
    folder = _service(tmp_path, 'ngettext("%(num)d cup", "%(num)d cups", 1)', "")
    catalogues.update("tea", "ar", tmp_path)
    path = folder / "locale" / "ar.po"
    text = path.read_text()
    for index, form in enumerate(["none", "one", "two", "few", "many", "other"]):
        text = text.replace(f'msgstr[{index}] ""', f'msgstr[{index}] "{form}"')
    path.write_text(text)
    assert catalogues.faults("tea", "ar", tmp_path) == []
    words = language("ar", folder / "locale")
    said = {n: words.ngettext("%(num)d cup", "%(num)d cups", n) for n in (0, 1, 2, 3, 10, 11, 99, 100, 102, 103, 111)}
    assert list(said.values()) == ["none", "one", "two", "few", "few", "many", "many", "other", "other", "few", "many"]
