"""Finding out what is to be mended."""

import asyncio

import typer

from app.clock import SystemClock
from app.doctor import examine
from app.doctor.findings import Level
from app.settings import load_settings


def doctor() -> None:
    """Check the settings, the database and the mail server, and say what to mend."""
    findings = asyncio.run(examine(load_settings(), SystemClock()))
    for finding in findings:
        typer.echo(f"{finding.level.value:8} {finding.subject}: {finding.text}")
    raise typer.Exit(int(any(finding.level is Level.PROBLEM for finding in findings)))
