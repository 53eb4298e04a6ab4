"""Reading strangers' text takes time in proportion to its length: every regular expression gets its worst case."""

import ast
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

ROOT = Path(__file__).parents[2]
CODE = sorted([*ROOT.glob("shared/**/*.py"), *ROOT.glob("services/**/*.py")])
FUNCTIONS = {"compile", "search", "match", "fullmatch", "sub", "subn", "split", "findall", "finditer"}
# Made of the table of sites, which is tested as it is compiled, or of another place's constants.
MADE_ELSEWHERE = {
    "services/discovery/model/sites.py": {"pattern", "self.ids", "self.names"},
    "services/consent/http/urls.py": {"ID_PATTERN"},
}
LENGTH: Final = 6_000  # characters; the square of it is half a second
NOTICED: Final = 0.005  # seconds of the processor, below which a measure says nothing
GROWTH: Final = 3.0  # for twice the length; what is in proportion takes 2, the square takes 4


def expressions() -> Iterator[tuple[str, str | bytes, int]]:
    """Every regular expression that stands in the code: where, its text, its flags."""
    for path in CODE:
        place = path.relative_to(ROOT).as_posix()
        tree = ast.parse(path.read_bytes())
        constants = {
            target.id: node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if node.func.attr not in FUNCTIONS or ast.unparse(node.func.value) != "re":
                continue
            text = evaluated(node.args[0], constants)
            if text is None:
                assert ast.unparse(node.args[0]) in MADE_ELSEWHERE.get(place, ()), f"{place}:{node.lineno}"
                continue
            flags = re.IGNORECASE if "IGNORECASE" in ast.unparse(node) else re.NOFLAG
            yield f"{place}:{node.lineno}", text, flags


def evaluated(node: ast.expr, constants: dict[str, ast.expr]) -> Any:
    """The text of an expression that is made of literals and of constants of its module; None for any other."""
    try:
        named = {name: ast.literal_eval(value) for name, value in constants.items() if _is_literal(value)}
        return eval(compile(ast.Expression(node), "", "eval"), {"__builtins__": {"str": str}}, named)  # noqa: S307
    except Exception:  # noqa: BLE001 - whatever it needs is not here
        return None


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except ValueError:
        return False
    return True


def of_the_sites() -> Iterator[tuple[str, str | bytes, int]]:
    """What the table of sites is compiled to, and the pattern of ids."""
    from firsthand.services.discovery.model import sites
    from firsthand.shared.identifiers import ID_PATTERN

    yield "shared/identifiers.py: ids", ID_PATTERN, 0

    forms: list[sites.Form] = []
    for site in sites.KNOWN.values():
        yield f"{site.key}: names", site.names, 0
        if site.ids:
            yield f"{site.key}: ids", site.ids, 0
        forms += [*site.people_forms, *site.nobody_forms]
        forms += [form for form, _ in (*site.number_forms, *site.post_forms)]
    for text in dict.fromkeys(part.pattern for form in forms for part in form.parts):
        yield f"sites: {text}", text, re.IGNORECASE


def pieces_of(text: str) -> list[str]:
    """What an expression may be made to look at again and again: its literals, and characters of each of its sets."""
    literals = re.findall(
        r"[A-Za-z0-9:/<>&#@.,;=_ -]{1,12}", re.sub(r"\\[a-zA-Z]|\{\d*,?\d*\}|\(\?[a-zA-Z:!=<]*", " ", text)
    )
    common = [
        "a",
        "A",
        "0",
        "-",
        ".",
        "_",
        " ",
        "<",
        "&",
        "@",
        "/",
        ":",
        "\n",
        "a-",
        "a.",
        "0.",
        "http://",
        "x@",
        "<a",
        "é",
    ]
    return list(dict.fromkeys([*common, *(one for literal in literals if (one := literal.strip()))]))


def beginnings_of(text: str) -> list[str]:
    """Nothing, and what stands literally at the beginning of the expression."""
    literal = re.match(r"\^?([A-Za-z0-9:/<>&#@=_-]*)", text)
    return list(dict.fromkeys(["", literal[1] if literal else ""]))


def worst_cases(text: str | bytes) -> Iterator[Callable[[int], str | bytes]]:
    plain = text if isinstance(text, str) else text.decode("latin-1")

    def made(begin: str, piece: str, end: str) -> Callable[[int], str | bytes]:
        def at(length: int) -> str | bytes:
            whole = begin + piece * (length // len(piece)) + end
            return whole if isinstance(text, str) else whole.encode("latin-1", "replace")

        return at

    for begin in beginnings_of(plain):
        for piece in pieces_of(plain):
            for end in ("", "\x00"):
                yield made(begin, piece, end)


def seconds(pattern: re.Pattern[Any], text: Any) -> float:
    began = time.process_time()
    pattern.search(text)
    pattern.fullmatch(text)
    return time.process_time() - began


def grows_too_fast(pattern: re.Pattern[Any], case: Callable[[int], Any]) -> bool:
    """Whether twice the length takes more than three times the time, from a quarter to a half and from it to all."""
    if seconds(pattern, case(LENGTH)) < NOTICED:
        return False
    quarter, half, whole = (
        min(seconds(pattern, case(size)) for _ in range(2)) for size in (LENGTH // 4, LENGTH // 2, LENGTH)
    )
    return half > GROWTH * quarter and whole > GROWTH * half


FOUND = [*expressions(), *of_the_sites()]


def test_every_expression_is_found_where_it_stands() -> None:
    assert len(FOUND) > 100
    assert {"shared/mail.py", "services/consent/model/texts.py"} <= {where.partition(":")[0] for where, *_ in FOUND}


@pytest.mark.parametrize(("where", "text", "flags"), FOUND, ids=[where for where, *_ in FOUND])
def test_an_expression_takes_time_in_proportion_to_what_it_reads(where: str, text: str | bytes, flags: int) -> None:
    pattern = re.compile(text, flags)
    assert [repr(case(12)) for case in worst_cases(text) if grows_too_fast(pattern, case)] == []


@pytest.mark.parametrize("text", [r"<[^>]*>", r"\b[a-z0-9-]+\.com", r"https?://\S+/sign-in/\S+", r"^a*[ab]*c"])
def test_one_that_takes_the_square_is_found(text: str) -> None:
    pattern = re.compile(text)
    assert any(grows_too_fast(pattern, case) for case in worst_cases(text))
