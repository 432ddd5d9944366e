"""The documentation is true: what it names exists, what exists and matters is named, and nothing points outside."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs import settings
from service import config

REPOSITORY = Path(__file__).parent.parent
DOCUMENTS = [
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    REPOSITORY / "CHANGELOG.md",
    *sorted((REPOSITORY / "docs").rglob("*.md")),
]
MAP = (REPOSITORY / "docs" / "ARCHITECTURE.md").read_text()
HAZARDS = (REPOSITORY / "docs" / "hazards.md").read_text()
README = (REPOSITORY / "README.md").read_text()

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
CODE = re.compile(r"`([^`\n]+)`")
ROOTS = ("schemas", "service", "jobs", "tests", "docs", "benchmarks")
FILE = re.compile(rf"(?:{'|'.join(ROOTS)})/[\w./-]+\.(?:py|js|sql|toml|json|md|png|html)\b")
PLACE = re.compile(rf"((?:{'|'.join(ROOTS)})/[\w./-]+\.(?:py|js)):(\w+)")
JAVASCRIPT = r"(?:function|class|const|let)\s+{}\b"

# What a reader of the repository does not have, in comments and docstrings.
OUTSIDE = re.compile(r"\bDESIGN\b|\bDOMAIN\.md|\bSTYLE\.md|\bshared/|\bissue #?\d|§\s*\d")
STANDARDS = re.compile(r"RFC \d+ §|RFC \d+, §")


def name_of(document: Path) -> str:
    return str(document.relative_to(REPOSITORY))


def names_in(file: Path) -> set[str]:
    """What is defined in a Python file: at its top level, and inside its classes."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return found


def is_there(path: str, name: str) -> bool:
    file = REPOSITORY / path
    if not file.is_file():
        return False
    if file.suffix == ".js":
        return re.search(JAVASCRIPT.format(name), file.read_text()) is not None
    return name in names_in(file)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    targets = [link for link in LINK.findall(document.read_text()) if "://" not in link]
    assert [link for link in targets if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_file_and_function_that_is_named_exists(document: Path) -> None:
    text = "\n".join(CODE.findall(document.read_text()))
    gone = [path for path in FILE.findall(text) if not (REPOSITORY / path).is_file()]
    gone += [f"{path}:{name}" for path, name in PLACE.findall(text) if not is_there(path, name)]
    assert gone == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_make_target_that_is_named_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"(?:`|^(?: {4}|\$ )?)make ([a-z-]+)", document.read_text(), re.MULTILINE)
    assert set(named) - targets == set()


def test_the_map_names_every_module_of_the_service_and_the_jobs_and_every_noun() -> None:
    entries = [entry for folder in ("service", "jobs", "schemas") for entry in (REPOSITORY / folder).iterdir()]
    folders = [f"{each.name}/" for each in entries if each.is_dir() and not each.name.startswith("__")]
    files = [each.name for each in entries if each.suffix == ".py" and not each.name.startswith("__")]
    assert [name for name in folders + files if f"`{name}`" not in MAP] == []


def test_the_map_names_every_file_of_the_rooms_that_it_lists_file_by_file() -> None:
    rooms = [REPOSITORY / "service" / room for room in ("web", "web/api", "web/dashboard", "web/forms", "alerting")]
    files = [file for room in rooms for file in sorted(room.glob("*.py")) if not file.name.startswith("__")]
    assert [name_of(file) for file in files if f"`{file.name}`" not in MAP] == []


def test_the_map_names_every_room_of_the_service() -> None:
    rooms = {file.parent for file in (REPOSITORY / "service").rglob("*.py")} - {REPOSITORY / "service"}
    assert sorted(name_of(room) for room in rooms if f"`{room.name}/`" not in MAP) == []


def test_every_module_that_the_map_names_exists() -> None:
    known = {file.name for folder in ROOTS for file in (REPOSITORY / folder).rglob("*.py")}
    assert set(re.findall(r"`(\w+\.py)`", MAP)) - known == set()


def test_the_readme_has_the_table_of_settings_as_the_settings_are() -> None:
    """`python -m docs.settings` writes it."""
    assert settings.with_table(README) == README


def test_every_setting_that_a_document_names_is_one() -> None:
    known = {each.variable for each in config.settings()} | config.TOOL_VARIABLES
    known |= {f"{each.variable}_FILE" for each in config.settings() if each.secret}
    named = {name for document in DOCUMENTS for name in re.findall(r"\bNEAP_[A-Z_]+[A-Z]\b", document.read_text())}
    assert named - known == set()


def test_every_hazard_is_tied_to_a_test_and_says_what_stands_against_it() -> None:
    rows = [row.strip("|").split("|") for row in HAZARDS.splitlines() if re.match(r"\| H\d", row)]
    assert [row[0].strip() for row in rows] == [f"H{number}" for number in range(1, len(rows) + 1)]
    assert [row[0].strip() for row in rows if not re.search(r"`tests/test_\w+\.py", row[3]) or not row[2].strip()] == []


def test_decisions_are_numbered_in_one_row_and_say_their_number() -> None:
    files = sorted((REPOSITORY / "docs" / "decisions").glob("*.md"))
    assert [int(file.name[:4]) for file in files] == list(range(1, len(files) + 1))
    assert [file.name for file in files if not file.read_text().startswith(f"# {int(file.name[:4])}. ")] == []


def test_no_comment_or_docstring_points_outside_the_repository() -> None:
    files = [file for folder in ("schemas", "service", "jobs") for file in sorted((REPOSITORY / folder).rglob("*.py"))]
    files += sorted((REPOSITORY / "service").rglob("*.sql"))
    assert [
        f"{file.relative_to(REPOSITORY)}:{line}"
        for file in files
        for line, text in prose_of(file)
        if OUTSIDE.search(STANDARDS.sub("", text))
    ] == []


def prose_of(file: Path) -> Iterator[tuple[int, str]]:
    """Comments and texts of a source file by line."""
    if file.suffix == ".sql":
        yield from enumerate(file.read_text().splitlines(), 1)
        return
    for token in tokenize.generate_tokens(io.StringIO(file.read_text()).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            yield token.start[0], token.string


def test_no_document_points_outside_the_repository() -> None:
    assert [
        f"{name_of(document)}:{number}"
        for document in DOCUMENTS
        for number, line in enumerate(document.read_text().splitlines(), 1)
        if OUTSIDE.search(STANDARDS.sub("", line))
    ] == []
