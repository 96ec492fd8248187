"""What the documents say of commands, settings, routes, files, dependencies and standards is true."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from starlette.routing import BaseRoute, Match
from typer.core import TyperGroup

from app.cli import cli
from app.domain.status import Status
from app.settings import Settings
from app.web.app import create_app
from tests.bench.__main__ import PARTS

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
DOCUMENTS = [*PAGES, *(ROOT / "deploy").iterdir()]
TEXTS = {str(path.relative_to(ROOT)): path.read_text() for path in DOCUMENTS}
README = TEXTS["README.md"]
SETTINGS = {f"MAILBOX_{name.upper()}" for name in Settings.model_fields}
FOLDERS = ("app", "docs", "deploy", "migrations", "templates", "tests", ".ci")
OWN_FILES = [path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*.*")]
OF_THE_SERVER = ("/etc", "/opt", "/usr", "/var", "/run", "/nonexistent")
RENAMED = re.compile(r"^\| `(MAILBOX_\w+)` \| `(MAILBOX_\w+)` \|$", re.MULTILINE)

document = pytest.mark.parametrize("name", TEXTS)


def test_all_documents_are_there() -> None:
    names = ("CHANGELOG", "CONTRIBUTING", "README", "SECURITY")
    assert [f"{name}.md" for name in names] == sorted(path.name for path in ROOT.glob("*.md"))
    assert len(README.encode()) <= 9 * 1024


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]*)(?:#([^)]+))?\)", page.read_text())
    links = [(target, anchor) for target, anchor in links if "://" not in target]
    assert [target for target, anchor in links if not _leads_somewhere(page, target, anchor)] == []


@document
def test_commands_exist_with_their_options(name: str) -> None:
    assert [words for words in _commands(TEXTS[name]) if not _is_command(words)] == []


def test_the_readme_has_every_command_with_all_its_options() -> None:
    told = list(_commands(_section(README, "Commands")))
    missing = {
        " ".join((*path, option))
        for path, options in _all_commands()
        for option in options or [""]
        if not any(words[: len(path)] == path and option in (*words, "") for words in told)
    }
    assert missing == set()


@document
def test_settings_exist(name: str) -> None:
    text = RENAMED.sub(r"`\2`", TEXTS[name])
    named = set(re.findall(r"\bMAILBOX_[A-Z_]+[A-Z]\b", text))
    for_tests = {setting for setting in named if setting.startswith("MAILBOX_TEST_")}
    sources = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    assert named - for_tests - SETTINGS == set()
    assert {setting for setting in for_tests if setting not in sources} == set()


def test_every_setting_is_in_the_table_with_its_default_and_no_other() -> None:
    rows = re.findall(r"^\| (`[^|]*`) \| ([^|]*) \|", TEXTS["docs/settings.md"], re.MULTILINE)
    cells = [[re.findall(r"`([^`]+)`", cell) for cell in row] for row in rows]
    told = [
        (name.lower(), default)
        for names, defaults in cells
        for name, default in zip(names, defaults or [""] * len(names), strict=True)
    ]
    assert sorted(name for name, _ in told) == sorted(Settings.model_fields)
    assert [name for name, default in told if not _is_default(name, default)] == []


def test_renamed_settings_are_gone_and_their_new_names_exist() -> None:
    renamed = RENAMED.findall(TEXTS["CHANGELOG.md"])
    assert len(renamed) == 7
    assert {old for old, _ in renamed} & SETTINGS == set()
    assert {new for _, new in renamed} - SETTINGS == set()


@document
def test_files_exist(name: str) -> None:
    paths = re.findall(rf"(?<![\w/.-])(?:{'|'.join(map(re.escape, FOLDERS))})/[\w./-]*[\w/]", TEXTS[name])
    names = re.findall(r"`(\w+\.(?:py|html|md|toml|po|js|css|yml))`", TEXTS[name])
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert [each for each in names if not _is_a_file_name(each)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_routes_exist(page: Path) -> None:
    routes = create_app(Settings(_env_file=None, api_docs=True)).routes
    before = r"`(?:(GET|POST|PUT|PATCH|DELETE) )?|://127\.0\.0\.1:\d+|://letters\.example\.org"
    named = re.findall(rf"(?:{before})(/[\w/{{}}.-]*)", page.read_text())
    paths = [(method, path) for method, path in named if not path.startswith(OF_THE_SERVER)]
    assert [path for method, path in paths if not any(_matches(route, method, path) for route in routes)] == []


@document
def test_metrics_exist(name: str) -> None:
    source = (ROOT / "app/web/metrics.py").read_text() + (ROOT / "app/store/job_runs.py").read_text()
    named = set(re.findall(r"\bslow_mailbox_([a-z_]+)", TEXTS[name])) - {"clients", "tls"}
    stems = {re.sub(r"_(total|bucket|sum|count)$", "", metric) for metric in named}
    assert {stem for stem in stems if f'"{stem}"' not in source} == set()


@document
def test_make_targets_and_parts_of_the_benchmark_exist(name: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    commands = re.findall(r"(?:^|&& |=\S+ )make (\w+)(?: ARGS=\"([^\"]*)\")?(?=\s|$)", _code(TEXTS[name]), re.MULTILINE)
    assert [target for target, _ in commands if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []
    parts = [re.split(r" --", arguments)[0].split() for target, arguments in commands if target == "bench"]
    assert [part for words in parts for part in words if part not in PARTS] == []


def test_every_dependency_has_a_reason() -> None:
    asked = {
        re.split(r"[\[<=>]", line)[0]
        for name in ("requirements.in", "requirements-dev.in")
        for line in (ROOT / name).read_text().splitlines()
        if not line.startswith(("#", "-"))
    }
    reasons = _section(TEXTS["docs/architecture.md"], "Dependencies")
    assert {package for package in asked if not re.search(rf"\b{package}\b", reasons)} == set()


def test_the_states_table_has_the_transitions_of_the_code() -> None:
    documented = set(_transitions(_section(TEXTS["docs/architecture.md"], "The states of a delivery")))
    assert documented == set(_transitions(Status.__doc__ or ""))


def test_the_guide_names_every_file_to_install() -> None:
    guide = TEXTS["docs/operating.md"]
    assert [path.name for path in (ROOT / "deploy").iterdir() if path.name not in guide] == []


def test_every_row_that_the_source_names_is_in_the_standards() -> None:
    rows = set(re.findall(r"^\| ([A-Z]\d+b?) \|", TEXTS["docs/standards.md"], re.MULTILINE))
    source = [path.read_text() for folder in ("app", "tests") for path in (ROOT / folder).rglob("*.py")]
    named = set(re.findall(r"\b[ESPRIW][1-9]\d?b?\b", "\n".join(source)))
    assert named - rows == set()


def _section(text: str, title: str) -> str:
    """Return the text under a heading, up to the next one."""
    return re.split(r"^#+ ", text.split(f"# {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def _code(text: str) -> str:
    """Return the code blocks, and the code within sentences, a line each."""
    found = re.findall(r"^ *```\w*\n(.*?)^ *```$|`([^`\n]+)`", text, re.MULTILINE | re.DOTALL)
    return "\n".join(block or inline for block, inline in found)


def _matches(route: BaseRoute, method: str, path: str) -> bool:
    """Whether a route has this path, and this method if there is one."""
    match, _ = route.matches({"type": "http", "method": method or "GET", "path": path})
    return match is Match.FULL or (match is Match.PARTIAL and not method)


def _leads_somewhere(page: Path, target: str, anchor: str) -> bool:
    path = page.parent / target if target else page
    if not path.exists():
        return False
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE) if anchor else []
    return not anchor or anchor in [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings]


def _commands(text: str) -> Iterator[tuple[str, ...]]:
    """Yield what follows `slow-mailbox` in code: names of commands, and options."""
    for line in _code(text).splitlines():
        for command in re.findall(r"(?<![\w./-])slow-mailbox ((?:[^#|`;&)]|\\\|)*)", line):
            yield tuple(re.findall(r"--[\w-]+|(?<![\w/.:@-])[a-z]+(?![\w/.:@-])", command))


def _all_commands() -> Iterator[tuple[tuple[str, ...], list[str]]]:
    group = typer.main.get_command(cli)
    assert isinstance(group, TyperGroup)
    for name, command in group.commands.items():
        inner = command.commands.items() if isinstance(command, TyperGroup) else [("", command)]
        for sub, each in inner:
            options = [option for parameter in each.params for option in parameter.opts if option.startswith("--")]
            yield ((name, sub) if sub else (name,)), [option for option in options if option != "--help"]


def _is_command(words: tuple[str, ...]) -> bool:
    """Whether a command has this name and these options; words behind it may be arguments."""
    if words in [(), ("--version",), ("--help",)]:
        return True
    return any(
        words[: len(path)] == path and {word for word in words if word.startswith("--")} <= {*options, "--help"}
        for path, options in _all_commands()
    )


def _is_default(name: str, text: str) -> bool:
    """Whether a setting has this value if it is not set; "" is told as none or in words."""
    default = Settings.model_fields[name].get_default()
    if not text:
        return default in ("", None, ())
    return bool(getattr(Settings(_env_file=None, **{name: text}), name) == default)  # type: ignore[arg-type]


def _is_a_file_name(name: str) -> bool:
    return any(f"/{path}".endswith(f"/{name}") for path in [*OWN_FILES, *(path.name for path in ROOT.iterdir())])


def _transitions(table: str) -> Iterator[tuple[str, str]]:
    for before, after in re.findall(r"^ *\| ([a-z, ()]+?) +\| ([a-z()]+) +\|", table, re.MULTILINE):
        if before != "from":
            yield from ((state, after) for state in before.split(", "))
