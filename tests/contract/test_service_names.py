"""A new service costs its folder and one line in the command, compose and the proxy."""

import ast
import re
from pathlib import Path

from firsthand.services.__main__ import SERVICES

ROOT = Path(__file__).parents[2]
NAMES = frozenset(SERVICES)

# Where services are named outside of their own folders, and why. Pages link to each other's pages and are left out.
NAMED = {
    "services/__main__.py": "the one line that a service costs in the command",
    "compose.yaml": "one block a service",
    "deploy/Caddyfile": "one line a prefix",
    "pyproject.toml": "the layers inside every room: import-linter takes no pattern there",
    "shared/topology.py": "who publishes, hears and answers an erasure",
    "shared/keys.py": "who signs sessions",
    "shared/sessions.py": "who signs sessions",
    "shared/events/examples.py": "an example says who tells it, and what each service erased",
    "shared/events/scheduling.py": "a meeting that a consent cancelled says so",
    "services/archive/gate.py": "whose stream and pulse the gate watches",
    "services/consent/http/words.py": "what each service erased, in a family's words",
    "services/consent/model/journey.py": "the order of the chain on a certificate",
    "services/portal/model/journey.py": "what an erasure leaves on a journey",
    "services/scheduling/model/meeting.py": "a meeting that a consent cancelled says so",
    "services/webhooks/http/words.py": "types of events in groups, which begin with what they are about",
}
_WORD = re.compile(r"(?m)(?:^|[\s\"'/:\[,.])(" + "|".join(sorted(NAMES)) + r")(?=$|[\s\"':,\]*/])")


def named_in(path: Path) -> set[str]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        strings = (node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant))
        return {value for value in strings if isinstance(value, str) and value in NAMES}
    return set(_WORD.findall(text))


def test_only_these_places_name_services() -> None:
    code = [*ROOT.glob("services/**/*.py"), *ROOT.glob("shared/**/*.py"), *ROOT.glob("example/**/*.py")]
    others = [ROOT / name for name in ("pyproject.toml", "compose.yaml", "Dockerfile", "Makefile")]
    found = set()
    for path in [*code, *others, *ROOT.glob("deploy/*")]:
        own = NAMES.intersection(path.relative_to(ROOT).parts)
        named = named_in(path) - own
        if len(named) >= (1 if own else 2):
            found.add(path.relative_to(ROOT).as_posix())
    assert found - set(NAMED) == set(), "name a service here only if the house cannot know it otherwise, and say why"
    assert set(NAMED) - found == set(), "no longer names services"
