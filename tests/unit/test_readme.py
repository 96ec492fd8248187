"""What the README says of settings, dependencies and a letter's way must stay true."""

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


def test_a_letters_way_leads_through_eight_files_at_most() -> None:
    way = re.findall(r"^\d+\. \[`([^`]+)`\]", section("How it is built"), re.MULTILINE)
    assert 5 < len(way) <= 8
    assert [path for path in way if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize("page", ["README.md", "app/operations/README.md"])
def test_links_lead_somewhere(page: str) -> None:
    targets = re.findall(r"\]\(([^):#]+)[^):]*\)", (ROOT / page).read_text())
    assert targets
    assert [target for target in targets if not (ROOT / page).parent.joinpath(target).exists()] == []


def test_the_guide_names_every_file_beside_it() -> None:
    folder = ROOT / "app/operations"
    guide = (folder / "README.md").read_text()
    assert [path.name for path in folder.iterdir() if path.name not in guide] == []
