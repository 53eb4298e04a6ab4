"""The catalogues' check: which texts of the shell and of each service are not yet, or wrongly, translated.

`python -m firsthand.shared.web.catalogues check [service ...]` tells; `... update [service ...]` adds what is missing
with an empty translation and removes what no page says any more.
"""

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po
from jinja2.ext import babel_extract

from firsthand.shared.web.languages import DEFAULT, NAMES

ROOT: Final = Path(__file__).resolve().parents[2]
_SHELL: Final = Path(__file__).parent
_KEYWORDS: Final = {"_": None, "gettext": None, "ngettext": (1, 2), "N_": None}
_TEMPLATE: Final = {"extensions": "jinja2.ext.do", "silent": "false"}
_PLACE: Final = re.compile(r"%\((\w+)\)[sd]")
# Arabic as CLDR orders its forms (none, one, two, few, many, other); babel's own default swaps the last two.
_PLURALS: Final = {
    "ar": "nplurals=6; plural=(n==0 ? 0 : n==1 ? 1 : n==2 ? 2 : n%100>=3 && n%100<=10 ? 3 : n%100>=11 ? 4 : 5);",
    "es": "nplurals=2; plural=(n != 1);",
}


def _plurals(code: str) -> str:
    return _PLURALS.get(code) or Catalog(locale=code).plural_forms


_COUNTS: Final = frozenset({"num", "n", "count"})  # Arabic's forms for none, one and two say the number as a word

Text = str | tuple[str, ...]  # a text, or its singular and plural
Texts = dict[Text, None]  # a set that keeps its order


def folders(root: Path = ROOT) -> dict[str, Path]:
    """Give the folders with texts of their own: `shell`, then each service by name."""
    services = {path.parent.name: path.parent for path in sorted(root.glob("services/*/__init__.py"))}
    return {"shell": _SHELL, **services}


def texts_of(folder: Path) -> Texts:
    """Find every text that is marked for translation in a folder's code and templates, in the order of the files."""
    found: Texts = {}
    said_by_all = _SHELL.parent.glob("*.py") if folder == _SHELL else ()  # rules that every service has
    for path in sorted([*folder.rglob("*.py"), *said_by_all]):
        found.update(dict.fromkeys(_in_python(path)))
    for path in sorted([*folder.glob("pages/**/*"), *folder.glob("templates/**/*")]):
        if path.suffix in {".html", ".txt"}:
            with path.open("rb") as file:
                found.update(
                    (message, None) for _, message, _, _ in extract(babel_extract, file, _KEYWORDS, (), _TEMPLATE)
                )
    return found


def _in_python(path: Path) -> Iterator[Text]:
    with path.open("rb") as file:
        for _, message, _, _ in extract("python", file, _KEYWORDS):
            yield message
    for call in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Problem":
            named = [keyword.value for keyword in call.keywords if keyword.arg in {"title", "detail"}]
            for text in [*call.args[1:3], *named]:
                if isinstance(text, ast.Constant) and isinstance(text.value, str) and text.value:
                    yield text.value


@cache
def _shells() -> Texts:
    """What the shell says, which no service says again."""
    return texts_of(_SHELL)


def needed(name: str, root: Path = ROOT) -> Texts:
    """Give the texts that the catalogues of `name` must have: a service's own, without those that the shell says."""
    texts = texts_of(folders(root)[name])
    if name == "shell":
        return texts
    common = _shells()
    return {text: None for text in texts if text not in common}


def read(path: Path, code: str) -> Catalog:
    """Read a catalogue; one that does not exist yet is empty."""
    if not path.is_file():
        return Catalog(locale=code)
    with path.open("rb") as file:
        return read_po(file, locale=code)


def faults(name: str, code: str, root: Path = ROOT) -> list[str]:
    """Tell in one line each what is wrong with one catalogue; empty when it is complete."""
    wanted = needed(name, root)
    catalogue = read(folders(root)[name] / "locale" / f"{code}.po", code)
    found = [fault for text in wanted if (fault := _fault(text, catalogue))]
    found += [
        f"no page says this any more: {message.id!r}"
        for message in catalogue
        if message.id and message.id not in wanted
    ]
    if len(catalogue) and catalogue.plural_forms.rstrip(";") != _plurals(code).rstrip(";"):
        found.append(f"Plural-Forms must be {_plurals(code)}")
    return [f"{name}/{code}: {fault}" for fault in found]


def _fault(text: Text, catalogue: Catalog) -> str:
    message = catalogue.get(text[0] if isinstance(text, tuple) else text)
    if message is None or message.id != text:
        return f"missing: {text!r}"
    forms = [message.string] if isinstance(message.string, str) else list(message.string)
    expected = catalogue.num_plurals if isinstance(text, tuple) else 1
    if message.fuzzy:
        return f"not sure (fuzzy): {text!r}"
    if len(forms) != expected or not all(forms):
        return f"empty, or not {expected} forms: {text!r}"
    return f"other places to fill: {text!r}" if not _same_places(message.id, forms) else ""


def _same_places(text: Text, forms: list[str]) -> bool:
    if isinstance(text, str):
        return _places(text) == _places(forms[0])
    may = _places(text[0]) | _places(text[1])
    return all(may - _COUNTS <= _places(form) <= may for form in forms)


def _places(text: str) -> set[str]:
    return set(_PLACE.findall(text))


def update(name: str, code: str, root: Path = ROOT) -> int:
    """Bring a catalogue to the texts of today; gives how many translations are still empty."""
    path = folders(root)[name] / "locale" / f"{code}.po"
    wanted, before, after = needed(name, root), read(path, code), Catalog(locale=code)
    if not wanted and not path.exists():
        return 0
    for text in wanted:
        known = before.get(text[0] if isinstance(text, tuple) else text)
        kept = known if known is not None and known.id == text else None
        after.add(text, kept.string if kept else "", flags=kept.flags if kept else ())
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        head = (
            f"Language: {code}\\n",
            "Content-Type: text/plain; charset=utf-8\\n",
            f"Plural-Forms: {_plurals(code)}\\n",
        )
        file.write(('msgid ""\nmsgstr ""\n' + "".join(f'"{line}"\n' for line in head) + "\n").encode())
        write_po(file, after, width=110, omit_header=True, no_location=True)
    return sum("missing" in fault or "empty" in fault for fault in faults(name, code, root))


def main(arguments: list[str] | None = None) -> int:
    """Run the command; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m firsthand.shared.web.catalogues", description=__doc__)
    parser.add_argument("do", choices=("check", "update"))
    parser.add_argument("service", nargs="*", help="shell or a service's name; all when none is named")
    chosen = parser.parse_args(arguments)
    found: list[str] = []
    for name in chosen.service or folders():
        for code in [code for code in NAMES if code != DEFAULT]:
            if chosen.do == "update":
                update(name, code)
            found += faults(name, code)
    sys.stdout.write("".join(f"{fault}\n" for fault in found) or "All catalogues are complete.\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
