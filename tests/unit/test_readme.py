"""What the documents say of settings, dependencies, files and standards must stay true."""

import re
from pathlib import Path

import pytest

from app.settings import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def section(title: str) -> str:
    """Return the text under a heading, up to the next one."""
    return re.split(r"^#+ ", README.split(f"# {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def test_every_setting_is_told_and_no_other() -> None:
    first_cells = re.findall(r"^\| (`[^|]*`) \|", section("Settings"), re.MULTILINE)
    told = {name for cell in first_cells for name in re.findall(r"`([A-Z_]+)`", cell)}
    assert told == {name.upper() for name in Settings.model_fields}


def test_every_dependency_has_a_reason() -> None:
    asked = {
        re.split(r"[\[<=>]", line)[0]
        for name in ("requirements.in", "requirements-dev.in")
        for line in (ROOT / name).read_text().splitlines()
        if not line.startswith(("#", "-"))
    }
    assert {package for package in asked if not re.search(rf"\b{package}\b", section("Dependencies"))} == set()


@pytest.mark.parametrize("page", ["README.md", "docs/operating.md"])
def test_links_lead_somewhere(page: str) -> None:
    targets = re.findall(r"\]\(([^):#]+)[^):]*\)", (ROOT / page).read_text())
    assert targets
    assert [target for target in targets if not (ROOT / page).parent.joinpath(target).exists()] == []


def test_the_guide_names_every_file_to_install() -> None:
    guide = (ROOT / "docs/operating.md").read_text()
    assert [path.name for path in (ROOT / "deploy").iterdir() if path.name not in guide] == []


def test_every_row_that_the_source_names_is_in_the_standards() -> None:
    rows = set(re.findall(r"^\| ([A-Z]\d+b?) \|", (ROOT / "docs/standards.md").read_text(), re.MULTILINE))
    source = [path.read_text() for folder in ("app", "tests") for path in (ROOT / folder).rglob("*.py")]
    named = set(re.findall(r"\b[ESPRIW][1-9]\d?b?\b", "\n".join(source)))
    assert named - rows == set()
