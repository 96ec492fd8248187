"""The `doctor` command."""

import asyncio
import json
from dataclasses import asdict
from typing import Annotated

import typer

from app.clock import SystemClock
from app.doctor import examine
from app.doctor.findings import Finding, Level
from app.doctor.mail_server import send_test
from app.settings import Settings, load_settings


def doctor(
    dkim_selector: Annotated[
        str, typer.Option(help="What your mail server signs by: it tells where DKIM's key is")
    ] = "",
    send_test_to: Annotated[
        str, typer.Option("--send-test", help="An address of yours: a test letter is sent there, and to the webhook")
    ] = "",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For programs")] = False,
) -> None:
    """Check settings, database, mail server and DNS, and say what to change. Exit code 1 for a problem."""
    findings = asyncio.run(_examine(load_settings(), dkim_selector, send_test_to))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            typer.echo(f"{finding.level.value:8} {finding.subject}: {finding.text}")
    raise typer.Exit(int(any(finding.level is Level.PROBLEM for finding in findings)))


async def _examine(settings: Settings, dkim_selector: str, send_test_to: str) -> list[Finding]:
    clock = SystemClock()
    findings = await examine(settings, clock, dkim_selector)
    return [*findings, *(await send_test(settings, clock, send_test_to) if send_test_to else [])]
