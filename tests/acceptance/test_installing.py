"""The files of deploy/, read by the programs for which they are, and nginx in front of the real program."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.cli import service
from app.delivery import worker
from app.settings import load_settings
from tests.acceptance.forks import ROOT
from tests.acceptance.seed import KEY
from tests.acceptance.servers import PATIENCE, Program, eventually
from tests.certificates import Authority
from tests.postgres import free_port

OPERATIONS = ROOT / "deploy"
UNIT = (OPERATIONS / "slow-mailbox.service").read_text()
NAME, LISTENS = "letters.example.org", re.compile(r"^ *listen \[::\].*\n", re.MULTILINE)
MISSES = 60


def _program(name: str, package: str) -> str:
    """Return where one of Debian's programs is."""
    path = shutil.which(name, path="/usr/sbin:/usr/bin")
    if path is None:
        pytest.skip(f"there is no {name}: apt-get install {package}")
    return path


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "slow-mailbox.service"
    unit.write_text(UNIT.replace("/opt/slow-mailbox/.venv/bin/slow-mailbox", sys.executable))
    verify = (_program("systemd-analyze", "systemd"), "verify", "--man=no", "--recursive-errors=no", str(unit))
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_waits_until_requests_and_letters_have_ended() -> None:
    assert int(UNIT.partition("TimeoutStopSec=")[2].split()[0]) > service._GRACE + worker.GRACE + 10


def test_the_settings_to_begin_with_are_right(tmp_path: Path) -> None:
    text = (OPERATIONS / "slow-mailbox.env").read_text()
    (tmp_path / ".env").write_text(text.replace("SECRET_KEY=", f"SECRET_KEY={KEY}"))
    assert load_settings().origin == f"https://{NAME}"


def test_caddy_understands_its_file(tmp_path: Path) -> None:
    validate = (_program("caddy", "caddy"), "validate", "--adapter=caddyfile", f"--config={OPERATIONS / 'Caddyfile'}")
    done = subprocess.run(validate, env={"HOME": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def outside(sqlite_url: str, tmp_path: Path) -> Iterator[httpx.Client]:
    """Run the program behind nginx, and look at both from outside."""
    nginx, port, plain = _program("nginx", "nginx"), free_port(), free_port()
    authority = Authority(tmp_path)
    program = Program(
        tmp_path, DATABASE_URL=sqlite_url, BASE_URL=f"https://localhost:{port}", TRUSTED_PROXIES="127.0.0.1"
    )
    with program.serve() as server:
        config = tmp_path / "nginx.conf"
        site = LISTENS.sub("", (OPERATIONS / "nginx.conf").read_text())
        for shipped, ours in {
            "127.0.0.1:8000": server.base.removeprefix("http://"),
            "listen 80;": f"listen 127.0.0.1:{plain};",
            "listen 443 ": f"listen 127.0.0.1:{port} ",
            "fullchain.pem": "server.pem",
            "privkey.pem": "server.pem",
            f"/etc/letsencrypt/live/{NAME}": str(tmp_path),
            "/var/log/nginx": str(tmp_path),
            NAME: "localhost",
        }.items():
            assert shipped in site
            site = site.replace(shipped, ours)
        config.write_text(f"pid {tmp_path}/pid; error_log stderr; daemon off; events {{}} http {{ {site} }}")
        with subprocess.Popen((nginx, "-c", str(config))) as process:
            try:
                context = authority.client_context()
                with httpx.Client(base_url=f"https://localhost:{port}", verify=context, timeout=PATIENCE) as client:
                    eventually(lambda: _answers(client))
                    yield client
            finally:
                process.terminate()


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").is_success
    except httpx.TransportError:
        return False


@pytest.mark.slow
def test_behind_nginx_letters_are_taken_and_what_is_not_the_public_s_is_kept(
    outside: httpx.Client, tmp_path: Path
) -> None:
    posted = outside.post("/letters", data={"recipient_email": "reader@example.org", "body": "Hello"})
    assert posted.status_code == 303
    page = outside.get(posted.headers["location"])
    for answer, status in ((page, 200), (outside.get("/metrics"), 404)):
        assert answer.status_code == status
        assert answer.headers.get_list("strict-transport-security") == ["max-age=63072000"]
    assert outside.post("/letters", content=b"a" * (1 << 20) + b"a").status_code == 413
    missed = [
        outside.get(f"/letters/{number:022}", headers={"X-Forwarded-For": f"198.51.100.{number}"}).status_code
        for number in range(MISSES + 1)
    ]
    assert missed[-1] == 429  # whatever they say, they are one client
    token = posted.headers["location"].rpartition("/")[2]
    assert [path for path in tmp_path.glob("*.log") if token in path.read_text()] == []
