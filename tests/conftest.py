"""What tests everywhere ask for: a clock, and migrated databases of both kinds, each as good as new."""

import asyncio
import os
import shutil
import signal
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from hypothesis import HealthCheck, settings

from app.store.database import migrate
from tests.clock import FrozenClock
from tests.distribution import spread
from tests.empty_database import EmptiedDatabase
from tests.postgres import LocalPostgres

# A busy machine is no fault of the example's. A change is judged by the same examples each time; what looks for others
# is `make test ARGS="tests/unit --hypothesis-profile=search"`.
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ours", settings.get_profile("search"), derandomize=True)
settings.load_profile("ours")

DATABASES = ("sqlite", "postgres")
EXTERNAL = "MAILBOX_TEST_DATABASE_URL"
_numbers = count(1)


def pytest_configure() -> None:
    """Let a run that is ended by SIGTERM, as by `timeout`, take its servers along."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_xdist_auto_num_workers() -> int:
    """Return half as many again as there are cores: many tests wait for other processes."""
    return (os.cpu_count() or 1) * 3 // 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, where several workers share the tests."""
    items[:] = spread(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the machine's own `MAILBOX_*` and `.env` out, and `var/` out of the source tree."""
    for name in [name for name in os.environ if name.startswith("MAILBOX_") and name != EXTERNAL]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture(scope="session")
def local_postgres() -> Iterator[LocalPostgres]:
    """Start a PostgreSQL for all tests."""
    server = LocalPostgres()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def local_template(local_postgres: LocalPostgres) -> str:
    """Migrate one database; copying it is many times quicker than migrating anew."""
    return _template(local_postgres.url("postgres"))


@pytest.fixture
def local_postgres_url(local_postgres: LocalPostgres, local_template: str) -> Iterator[str]:
    """Make a migrated database on the server that a test may stop."""
    yield from _postgres_database(local_postgres.url("postgres"), local_template)


@pytest.fixture(scope="session")
def postgres_admin_url(request: pytest.FixtureRequest) -> str:
    """Name a database from which others may be made: that of the environment, or our own server's."""
    if EXTERNAL in os.environ:
        return os.environ[EXTERNAL]
    server: LocalPostgres = request.getfixturevalue("local_postgres")
    return server.url("postgres")


@pytest.fixture(scope="session")
def postgres_template(request: pytest.FixtureRequest, postgres_admin_url: str) -> Iterator[str]:
    """Name a migrated database beside that from which others may be made."""
    if EXTERNAL not in os.environ:
        yield request.getfixturevalue("local_template")
        return
    name = _template(postgres_admin_url)
    yield name
    _execute(postgres_admin_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def postgres_shared(postgres_admin_url: str, postgres_template: str) -> Iterator[EmptiedDatabase]:
    """Make the migrated database that tests use in turn."""
    for url in _postgres_database(postgres_admin_url, postgres_template):
        database = EmptiedDatabase(url)
        asyncio.run(database.learn())
        yield database


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest, postgres_shared: EmptiedDatabase) -> Iterator[str]:
    """Name a migrated PostgreSQL database in which nobody has written."""
    yield postgres_shared.url
    if not asyncio.run(postgres_shared.empty()):
        admin_url, template = map(request.getfixturevalue, ("postgres_admin_url", "postgres_template"))
        _execute(admin_url, f"DROP DATABASE {postgres_shared.name} WITH (FORCE)")
        _copy(admin_url, template, postgres_shared.name)
        asyncio.run(postgres_shared.learn())


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "mailbox.db"
    asyncio.run(migrate(f"sqlite://{path}"))
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """Make a migrated SQLite database."""
    path = tmp_path / "mailbox.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite://{path}"


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest) -> str:
    """Give a migrated database, one of each kind in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def empty_sqlite_url(tmp_path: Path) -> str:
    return f"sqlite://{tmp_path / 'empty.db'}"


@pytest.fixture
def empty_postgres_url(postgres_admin_url: str) -> Iterator[str]:
    yield from _postgres_database(postgres_admin_url, "template0")


@pytest.fixture(params=DATABASES)
def empty_database_url(request: pytest.FixtureRequest) -> str:
    """Make a database without a table, one of each kind in turn."""
    url: str = request.getfixturevalue(f"empty_{request.param}_url")
    return url


def _template(admin_url: str) -> str:
    name = f"slow_mailbox_test_{os.getpid()}"
    _execute(admin_url, f"CREATE DATABASE {name}")
    asyncio.run(migrate(_with_database(admin_url, name)))
    return name


def _postgres_database(admin_url: str, template: str) -> Iterator[str]:
    name = f"slow_mailbox_test_{os.getpid()}_{next(_numbers)}"
    _copy(admin_url, template, name)
    yield _with_database(admin_url, name)
    _execute(admin_url, f"DROP DATABASE {name} WITH (FORCE)")


def _copy(admin_url: str, template: str, name: str) -> None:
    _execute(admin_url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY WAL_LOG")


def _with_database(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def _execute(url: str, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())
