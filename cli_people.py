"""The commands of `switchboard` for what is kept of a person, and told to others: kept, export, forget,
webhooks; and for the tables that have it: migrate.

As in `cli.py`, each command imports what it needs when it is run.
"""
# ruff: noqa: PLC0415 - see above

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, cast

import trio
import typer

from cli_shared import ServerOption, ask_server, environment_here, fail, print_json, print_lines, run_or_fail, saving
from setting_reader import SettingsError, read_one
from settings import DATABASE_URL
from web.clients.operator import Operator, named

FORGET_SECONDS = 300.0
"""Large tables are vacuumed, a checkpoint of PostgreSQL's is waited for, and other workers are."""
NameArgument = Annotated[str, typer.Argument(metavar="NUMBER|CALL", help="A number in E.164, or a call's id or SID.")]


def kept(name: NameArgument, server: ServerOption = None) -> None:
    """List what is kept of a person or of a call."""
    found = ask_server(server, lambda operator: operator.ask("POST", "kept", content=named(name)))
    calls = cast("Sequence[Mapping[str, Any]]", found["calls"])
    for call in calls:
        print_lines(", ".join([str(call["call_sid"]), *(["record"] if call["record"] else []), *call["files"]]))
    for other in cast("Sequence[str]", found["mentioned_in"]):
        print_lines(f"{other}, somebody else's call: mentions it")
    if not calls and not found["mentioned_in"]:
        print_lines("Nothing is kept.")


def export(
    name: NameArgument,
    file: Annotated[Path, typer.Option("--out", help="Where the ZIP file goes.")] = Path("kept.zip"),
    server: ServerOption = None,
) -> None:
    """Write everything that is kept of a person or of a call into a ZIP file."""
    from store.private import open_private

    async def write(operator: Operator) -> None:
        part = file.parent / f".{file.name}.part"
        try:
            with open_private(part, "wb") as target:
                async for chunk in operator.export(name):
                    target.write(chunk)
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)  # half of it is no export; what was there before stays

    with saving(file):
        ask_server(server, write)
    print_lines(f"Written to {file}.")


def forget(
    name: NameArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether it is meant.")] = False,
    vacuum: Annotated[
        bool, typer.Option("--vacuum", help="Write large tables of a PostgreSQL anew as well: calls wait meanwhile.")
    ] = False,
    server: ServerOption = None,
) -> None:
    """Erase everything that is kept of a person or of a call, for good, and print the proof."""
    if not yes:
        try:
            typer.confirm(f"Erase everything that is kept of {name}?", abort=True)
        except typer.Abort:
            fail("Nothing was erased. Where nobody can be asked, add --yes.")
    url = _database() if vacuum else ""
    about = named(name)
    proof = ask_server(server, lambda operator: operator.ask("POST", "forget", content=about, within=FORGET_SECONDS))
    proof = {**proof, **_vacuumed(url)}
    print_json(proof)
    if proof["left"]:
        print_lines("Something is left that another process is at work on. Repeat it in a minute.")
        raise typer.Exit(1)


def _database() -> str:
    """Return DATABASE_URL; end the command if it cannot be read."""
    return run_or_fail(lambda: read_one(environment_here(), DATABASE_URL), SettingsError, status=2)


def _vacuumed(url: str) -> Mapping[str, Any]:
    """Write the tables of a PostgreSQL anew; return what changes in the proof. SQLite's are new already."""
    if not url.startswith("postgres"):
        return {}
    from store.fleet.pages import vacuum

    try:
        done = vacuum(url, full=True)
    except OSError as exc:
        fail(f"erased, and its bytes are not overwritten: {exc}. Try again with --vacuum.")
    return {"vacuumed": done.took, "not_erased": done.left}


def webhooks(
    state: Annotated[str, typer.Option(help="dead, waiting or sent.")] = "dead",
    resend: Annotated[
        list[str] | None, typer.Option("--resend", metavar="ID", help="Send a dead one again; all for every one.")
    ] = None,
    server: ServerOption = None,
) -> None:
    """List webhooks that have not arrived for a day, or send them again."""
    if resend:
        ids = {"ids": "all" if resend == ["all"] else resend}
        sent = ask_server(server, lambda operator: operator.ask("POST", "webhooks", "resend", content=ids))
        print_lines(f"{sent['resent']} to be sent again.")
        return
    for one in ask_server(server, lambda operator: operator.listed("webhooks", "webhooks", {"state": state})):
        print_lines("  ".join(str(one[name]) for name in ("id", "kind", "call_sid", "tries", "why")))


async def _make_tables(url: str) -> str:
    """Make what is missing in the database of a URL, or change it for this version; return what there is now."""
    from store.databases import SqliteDatabase
    from store.orders.queue import OrderQueue
    from store.sql import database_of

    if isinstance(database := database_of(url), SqliteDatabase):
        with closing(database):
            await OrderQueue(database).now()
        return f"sqlite:///{database.file}: ready"
    from store.fleet import migrations
    from store.fleet.driver import Database

    with closing(Database(url)) as shared:
        return f"PostgreSQL: ready, at step {await migrations.migrate(shared)}"


def migrate() -> None:
    """Make the tables of DATABASE_URL, or change them for this version; workers do it themselves where they may."""
    try:
        print_lines(trio.run(_make_tables, _database()))
    except ValueError as exc:
        fail(str(exc), 2)
    except OSError as exc:
        fail(f"The tables of DATABASE_URL cannot be made: {exc}")
