"""A wheel built from the tree, installed where there is no checkout: all pages, mails and files, in both languages."""

import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from email import message_from_bytes, policy
from html import unescape
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from app.templating import LANGUAGES
from tests.acceptance.forks import ROOT
from tests.acceptance.servers import PLAIN, Program, copy_of_the_source, eventually

BUILT_FROM = ("pyproject.toml", "setup.py", "MANIFEST.in", "requirements.in", "README.md", "LICENSE")
LETTER = {"recipient_email": "reader@example.org", "sender_email": "writer@example.org", "body": "Hello"}
PASSWORD = "a password of a test"
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")
TEMPLATES = [str(path.relative_to(ROOT / "templates")) for path in (ROOT / "templates").rglob("*.*")]
STATIC = sorted((ROOT / "app/web/static").iterdir())
COMPILE = "from app.templating import environment\nfor name in {}:\n    environment({!r}).get_template(name)"
HANGUL = re.compile("[가-힣]+")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def commit_and_python(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Build a wheel from a copy of the tree, and install it into an environment that has only its dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = copy_of_the_source(folder / "tree")
    for name in BUILT_FROM:
        shutil.copy(ROOT / name, tree)
    commit = _committed(tree)
    _run(*PIP, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder), str(tree))
    shutil.rmtree(tree)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv")
    python = folder / "venv/bin/python"
    _run(*PIP, "--python", str(python), "install", "--no-deps", "--no-index", str(wheel))
    (packages,) = (folder / "venv/lib").glob("python*/site-packages")
    assert {path.name for path in packages.iterdir() if not path.name.endswith("info")} == {"app"}
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))  # its own .pth files are not read
    return commit, python


@pytest.fixture
def program(commit_and_python: tuple[str, Path], tmp_path: Path) -> Program:
    program = Program(tmp_path, FIRST_DELAY="PT1S", SCAN_INTERVAL="PT1S", ADMIN_PASSWORD=PASSWORD, RATE_LIMITS="off")
    program.entry = (str(commit_and_python[1].with_name("slow-mailbox")),)
    del program.environment["PYTHONPATH"]
    return program


def test_every_page_and_mail_in_both_languages(program: Program) -> None:
    assert program.run("migrate").returncode == 0
    with program.serve() as server, httpx.Client(base_url=server.base, follow_redirects=True, **PLAIN) as client:
        page = client.post("/letters", data=LETTER, headers={"Accept-Language": "ko"}).url.path
        outbox = program.folder / "var/outbox"
        eventually(lambda: len(list(outbox.glob("*.eml"))) == 2)
        mails = [_text_of(path) for path in outbox.glob("*.eml")]
        client.post("/admin/login", data={"username": "admin", "password": PASSWORD}, headers={"Origin": server.base})
        starts = ["/", page, "/admin", *_paths_in("".join(mails))]
        pages = {language: _crawled(client, starts, language) for language in LANGUAGES}
        for file in STATIC:
            assert client.get(f"/static/{file.name}").content == file.read_bytes()
    assert [mail for mail in mails if len(HANGUL.findall(mail)) < 20] == []
    parts = [path.split("/")[1] for path in pages["en"]]
    assert {"", "letters", "stop", "quiet", "outbox", "about", "links", "admin"} <= set(parts)
    assert parts.count("admin") > 6
    assert pages["en"].keys() == pages["ko"].keys()
    for path, english in pages["en"].items():
        korean = pages["ko"][path]
        assert ('<html lang="en"' in english, '<html lang="ko"' in korean) == (True, True), path
        assert len({*HANGUL.findall(korean)} - {*HANGUL.findall(english)}) > 10, path


def test_every_template_is_there(commit_and_python: tuple[str, Path], tmp_path: Path) -> None:
    assert len(TEMPLATES) > 50
    _run(str(commit_and_python[1]), "-c", COMPILE.format(TEMPLATES, "en"), folder=tmp_path)


def test_the_version_names_the_commit(commit_and_python: tuple[str, Path], program: Program) -> None:
    assert program.run("--version").stdout == f"slow-mailbox 0.1.0 ({commit_and_python[0]})\n"


def _committed(tree: Path) -> str:
    """Make the tree a repository, and return the name of its commit as `git describe` shortens it."""
    author = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    for words in (("init",), ("add", "."), (*author, "commit", "--message=All")):
        _run("git", *words, "--quiet" if words != ("add", ".") else "--all", folder=tree)
    return _run("git", "rev-parse", "--short=12", "HEAD", folder=tree).strip()


def _run(*command: str, folder: Path | None = None) -> str:
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def _text_of(mail: Path) -> str:
    part = message_from_bytes(mail.read_bytes(), policy=policy.default).get_body(("plain",))
    assert part
    return str(part.get_content())


def _paths_in(text: str) -> list[str]:
    return sorted({urlsplit(link).path for link in re.findall(r"http://\S+", text)})


def _is_on(client: httpx.Client, url: str) -> bool:
    return urlsplit(url).netloc == client.base_url.netloc.decode()


def _crawled(client: httpx.Client, starts: list[str], language: str) -> dict[str, str]:
    """Return each HTML page that links lead to, by its path; every link must lead to something."""
    waiting, pages, seen = list(starts), dict[str, str](), set[str]()
    while waiting:
        target = waiting.pop()
        path = target.partition("?")[0]
        if path in seen:
            continue
        seen.add(path)
        answer = client.get(target, headers={"Accept-Language": language})
        assert answer.status_code == 200, f"{target}: {answer.status_code}"
        if answer.headers["content-type"].startswith("text/html") and not path.endswith("/html"):  # that is a mail
            pages[path] = answer.text
            links = re.findall(r'(?:href|src)="([^"#]+)"', answer.text)
            targets = [urljoin(str(answer.url), unescape(link)) for link in links]
            waiting += [urlsplit(to)._replace(scheme="", netloc="").geturl() for to in targets if _is_on(client, to)]
    return pages
