"""The rules of the house that ruff, mypy and import-linter cannot hold."""

import ast
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
APP = sorted((ROOT / "app").rglob("*.py"))
OURS = APP + sorted((ROOT / "tests").rglob("*.py"))
CLOCKS = {f"datetime.{name}" for name in ("now", "utcnow", "today")} | {
    "date.today",
    *(f"time.{name}" for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")),
}
ENVIRONMENT = {"os.environ", "os.getenv", "os.environb", "os.putenv"}
UNUSED_WORDS = {"handle", "util", "utils", "helper", "helpers", "manager", "misc", "data", "info"}
FORCED = {"data_received"}  # asyncio's own name
MOST_LINES_OF_A_FILE = 400
TABLES = {"tests/answers.py", "tests/guards/web.py", "tests/guards/delivery.py"}  # are looked up, not read through
MOST_LINES_OF_A_FUNCTION = 45


def test_only_the_clock_reads_the_time() -> None:
    assert _wrong(APP, lambda path: path.name != "clock.py" and CLOCKS & set(_dotted(path))) == {}


def test_only_the_settings_read_the_environment() -> None:
    assert _wrong(APP, lambda path: path.parent.name != "settings" and ENVIRONMENT & set(_dotted(path))) == {}


def test_names_say_something() -> None:
    assert _wrong(APP, _empty_names) == {}


def test_a_file_can_be_read_at_once() -> None:
    texts = [path for path in OURS if str(path.relative_to(ROOT)) not in TABLES]
    assert _wrong(texts, lambda path: len(path.read_text().splitlines()) > MOST_LINES_OF_A_FILE) == {}


def test_a_function_can_be_read_at_once() -> None:
    assert _wrong(OURS, _long_functions) == {}


def _wrong(paths: Iterable[Path], look: Callable[[Path], object]) -> dict[str, object]:
    """Return what a look finds, by file."""
    return {str(path.relative_to(ROOT)): found for path in paths if (found := look(path))}


def _empty_names(path: Path) -> list[str]:
    names = set(_defined(path)) - FORCED
    return [name for name in names if UNUSED_WORDS & set(name.lower().strip("_").split("_"))]


def _long_functions(path: Path) -> list[str]:
    return [name for name, lines in _functions(path) if lines > MOST_LINES_OF_A_FUNCTION]


@cache
def _nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text())))


def _dotted(path: Path) -> Iterator[str]:
    """Yield the last two parts of everything read with a dot, and of what is imported from a module."""
    nodes = _nodes(path)
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
