"""The rules of the house that ruff, mypy and import-linter cannot hold."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
APP = sorted((ROOT / "app").rglob("*.py"))
OURS = APP + sorted((ROOT / "tests").rglob("*.py"))
CLOCKS = {f"datetime.{name}" for name in ("now", "utcnow", "today")} | {
    "date.today",
    *(f"time.{name}" for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")),
}
ENVIRONMENT = {"os.environ", "os.getenv", "os.environb", "os.putenv"}
UNUSED_WORDS = {"task", "handle", "util", "utils", "helper", "helpers", "manager", "misc", "data", "info"}
FORCED = {"data_received"}  # asyncio's own name
MOST_LINES_OF_A_FILE = 300
MOST_LINES_OF_A_FUNCTION = 40

each_file = pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(ROOT)))
each_of_the_app = pytest.mark.parametrize("path", APP, ids=lambda path: str(path.relative_to(ROOT)))


@each_of_the_app
def test_only_the_clock_reads_the_time(path: Path) -> None:
    if path.name != "clock.py":
        assert not CLOCKS & set(_dotted(path))


@each_of_the_app
def test_only_the_settings_read_the_environment(path: Path) -> None:
    if path.parent.name != "settings":
        assert not ENVIRONMENT & set(_dotted(path))


@each_of_the_app
def test_names_say_something(path: Path) -> None:
    names = set(_defined(path)) - FORCED
    assert [name for name in names if UNUSED_WORDS & set(name.lower().strip("_").split("_"))] == []


@each_file
def test_a_file_and_its_functions_can_be_read_at_once(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES_OF_A_FILE
    assert [name for name, lines in _functions(path) if lines > MOST_LINES_OF_A_FUNCTION] == []


def _nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text()))


def _dotted(path: Path) -> Iterator[str]:
    """Yield the last two parts of everything read with a dot, and of what is imported from a module."""
    nodes = list(_nodes(path))
    written = {node.value for node in nodes if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)}
    for node in nodes:
        if isinstance(node, ast.Attribute) and node not in written:
            owner = node.value
            yield f"{getattr(owner, 'attr', getattr(owner, 'id', ''))}.{node.attr}"
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _defined(path: Path) -> Iterator[str]:
    for node in _nodes(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in _nodes(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1
