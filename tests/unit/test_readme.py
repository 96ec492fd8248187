"""What the README says of settings, dependencies and a letter's way must stay true."""

import re
from pathlib import Path

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


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^):]+)\)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
