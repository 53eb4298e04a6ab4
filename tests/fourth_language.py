"""This code with one language more: catalogues and the consent texts, and not a line of code."""

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]
CODE = "fr"  # its words are Spanish here: what is tested is that nothing else needs to know of it
ITS_NAME = "Français"


def copied_with_fourth_language(target: Path) -> Path:
    """Copy the code below `target` and add the language; returns the folder from which it runs."""
    shutil.copytree(ROOT / "firsthand", target / "firsthand", ignore=shutil.ignore_patterns("__pycache__"))
    for spanish in target.glob("**/locale/es.po"):
        words = spanish.read_text().replace("Language: es", f"Language: {CODE}")
        (spanish.parent / f"{CODE}.po").write_text(words)
    texts = target / "firsthand" / "services" / "consent" / "texts"
    shutil.copyfile(texts / "es.json", texts / f"{CODE}.json")
    return target
