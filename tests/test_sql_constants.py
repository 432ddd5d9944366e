"""Every SQL constant runs as a role that may run it, and gives the columns that its Struct wants."""

from __future__ import annotations

import ast
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import asyncpg
import msgspec
import pytest

from service import ids
from service.config import DatabaseUrls
from service.database import Pool, open_pool

REPOSITORY = Path(__file__).parent.parent
SQL = re.compile(r"\s*(select|insert|update|delete|with|notify|merge)\b")
CALLS = {"rows", "find", "get"}

# `owner` runs commands such as import; the administrator's own statements run as none of them.
ROLES = ("web", "jobs", "sweep", "owner")
ADMINISTRATOR = {"service.storage.roles"}
GENERIC_PLAN_SINCE = 16
# NOTIFY takes no plan.
UNPLANNED = {"service.hint.NOTIFY"}


@dataclass(frozen=True)
class Constant:
    """A module's SQL constant, and the Structs that its call sites decode it into."""

    module: str
    name: str
    sql: str
    shapes: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


def modules() -> Iterator[tuple[str, ast.Module]]:
    for folder in ("service", "jobs"):
        for file in sorted((REPOSITORY / folder).rglob("*.py")):
            parts = file.relative_to(REPOSITORY).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), ast.parse(file.read_text())


def constants() -> list[Constant]:
    found = []
    for module, tree in modules():
        shapes = shapes_by_constant(tree)
        for node in tree.body:
            if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
                continue
            name, value = node.targets[0].id, node.value
            if not name.isupper() or not isinstance(value, ast.Constant) or not isinstance(value.value, str):
                continue
            if SQL.match(value.value):
                found.append(Constant(module, name, value.value, tuple(sorted(shapes.get(name, ())))))
    return found


def shapes_by_constant(tree: ast.Module) -> dict[str, set[str]]:
    """`db.rows(Struct, CONSTANT, …)`: which names stand where a Struct does, by constant."""
    shapes: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in CALLS:
            continue
        if len(node.args) >= 2 and isinstance(node.args[1], ast.Name) and node.args[1].id.isupper():
            shapes.setdefault(node.args[1].id, set()).add(ast.unparse(node.args[0]))
    return shapes


CONSTANTS = constants()


@pytest.fixture
async def pools(database: DatabaseUrls) -> AsyncIterator[dict[str, Pool]]:
    async with AsyncExitStack() as stack:
        yield {
            role: await stack.enter_async_context(
                await open_pool(getattr(database, role), size=1, application_name="neap-tests")
            )
            for role in ROLES
        }


async def test_every_statement_can_be_run_by_a_role_of_the_processes(pools: dict[str, Pool]) -> None:
    """EXPLAIN checks names, types and rights without running anything."""
    refused = {}
    for constant in CONSTANTS:
        if constant.module in ADMINISTRATOR or str(constant) in UNPLANNED:
            continue
        problems = [await problem_of(pools[role], constant) for role in ROLES]
        if all(problems):
            refused[str(constant)] = problems
    assert refused == {}


async def problem_of(pool: Pool, constant: Constant) -> str | None:
    async with pool.acquire() as connection:
        await connection.execute(f"begin; set local neap.clinic_id = '{ids.new()}'")
        try:
            if connection.get_server_version().major >= GENERIC_PLAN_SINCE:
                await connection.execute(f"explain (generic_plan) {constant.sql}")
            else:  # names and types; rights only where it is run
                await connection.prepare(constant.sql)
        except asyncpg.PostgresError as error:
            return f"{type(error).__name__}: {error}"
        finally:
            await connection.execute("rollback")
    return None


async def test_every_statement_gives_exactly_the_columns_its_struct_has(pools: dict[str, Pool]) -> None:
    """A missing column would raise only when a row comes, and one too many would never be noticed."""
    wrong = {}
    for constant in CONSTANTS:
        for name in constant.shapes:
            shape = eval(name, vars(import_module(constant.module)))
            async with pools["owner"].acquire() as connection:
                statement = await connection.prepare(constant.sql)
                columns = {attribute.name for attribute in statement.get_attributes()}
            wanted = {field.encode_name for field in msgspec.structs.fields(shape)}
            if columns != wanted:
                wrong[str(constant), name] = columns ^ wanted
    assert wrong == {}


def test_the_search_for_statements_finds_them() -> None:
    assert len(CONSTANTS) > 100
    assert sum(bool(constant.shapes) for constant in CONSTANTS) > 40
    assert {"service.fold.facts.DUE", "jobs.fold_check_ins.CLINICS_WITH_WORK"} <= {str(each) for each in CONSTANTS}
