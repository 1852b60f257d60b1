"""`jornada import FILE`: past events from a CSV or JSONL file, as backfill."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from services.cli.console import INTERRUPTED, as_typed_here, console
from services.cli.importing.importer import Importing, Posted, Wanted, look
from services.cli.importing.mapping import RowMapping, load_mapping
from services.cli.importing.mapping_file import known_encoding
from services.cli.importing.ordering import Spool
from services.cli.importing.posting import checked_url
from services.cli.importing.reading import DEFAULT_ENCODING, Text, form_of
from services.cli.importing.reporting import Json, Report, as_json_text, counted_customers, show, show_problems
from services.cli.importing.resuming import State
from services.cli.importing.running import Asked
from services.cli.lifecycles.formats import Format, Written, say_note
from shared.contracts.times import now_ms
from shared.errors import Permanent
from shared.settings import load

_KEY = "JORNADA_KEY"


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("import")(import_file)


def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=".csv or .jsonl, or either with .gz behind")],
    map_: Annotated[
        Path | None, typer.Option("--map", metavar="MAPPING", help="the YAML file that says how rows become events")
    ] = None,
    url: Annotated[str | None, typer.Option(help="where ingest answers [JORNADA_PUBLIC_URL]")] = None,
    key_file: Annotated[Path | None, typer.Option(help=f"a file with the API key; otherwise it is in {_KEY}")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check everything and post nothing")] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="leave out bad lines and list them in FILE.rejected.jsonl")
    ] = False,
    restart: Annotated[bool, typer.Option("--restart", help="begin anew instead of where it was")] = False,
    encoding: Annotated[
        str | None, typer.Option(help=f"of a CSV file, such as cp1252 [the mapping's, or {DEFAULT_ENCODING}]")
    ] = None,
    delimiter: Annotated[str | None, typer.Option(help="of a CSV file [the mapping's, or seen in its header]")] = None,
    errors: Annotated[int, typer.Option(min=0, help="how many bad lines are shown")] = 20,
    written: Written = Format.TEXT,
) -> None:
    """Import past events from a file, as backfill: campaigns do not act on them.

    Every line is checked first; one bad line keeps everything from being posted, unless --skip-bad leaves it out. Then events
    are posted to POST /v1/events in the order of their times. Ctrl-C, or a crash, loses nothing: the same command goes
    on where it was, and an event that is posted twice counts once. The key needs the scopes events:write and
    events:backfill.

    Exit code: 0; 1 when lines are wrong or were refused; 130 after Ctrl-C.
    """
    mapping = load_mapping(map_) if map_ else None
    form_of(file)
    asked = Asked(file, mapping, _text(mapping, encoding, delimiter), now_ms())
    answer = _Answer(file, written, errors)
    try:
        if dry_run:
            raise typer.Exit(_look_only(asked, answer))
        wanted = Wanted(asked, checked_url(url or load().public_url), skip_bad, restart)
        raise typer.Exit(_import(wanted, _key(key_file), answer))
    except KeyboardInterrupt:
        say_note(as_typed_here("stopped; the same command goes on where it was"))
        raise typer.Exit(INTERRUPTED) from None


def _look_only(asked: Asked, answer: _Answer) -> int:
    with Spool() as spool:
        report = look(asked, spool)
        answer.write(report, {"dry_run": True}, spool)
        if answer.for_people:
            _say(_outlook(report))
    return 1 if report.contents.bad_lines else 0


def _import(wanted: Wanted, key: str, answer: _Answer) -> int:
    importing = Importing(wanted, key)
    if importing.other_key:
        say_note("another key posted before; if it belongs to another tenant, --restart posts everything there")
    if importing.state.finished_at is not None:
        return answer.nothing_to_do(importing.state)
    with Spool() as spool:
        report = look(wanted.asked, spool)
        importing.check_unchanged()
        if report.contents.bad_lines and not wanted.skip_bad:
            answer.write(report, {"posted": 0, "refused": 0}, spool)
            raise Permanent("nothing was posted: mend the bad lines, or leave them out by --skip-bad")
        done = importing.post(spool)
        answer.write(report, _numbers(done), spool)
        if answer.for_people:
            _say(_outcome(wanted, report, done))
    return 1 if done.state.refused else 0


class _Answer:
    """What is printed at the end, for people or for programs."""

    def __init__(self, path: Path, written: Format, errors: int) -> None:
        self._path = path
        self._errors = errors
        self.for_people = written is Format.TEXT

    def write(self, report: Report, more: Json, spool: Spool) -> None:
        """The report, with everything that is wrong."""
        if self.for_people:
            show(console(), report)
            show_problems(console(), self._path, spool.problems(), self._errors)
        else:
            sys.stdout.writelines(as_json_text(report.as_json() | more, spool.problems()))

    def nothing_to_do(self, state: State) -> int:
        """This very import is finished already."""
        if self.for_people:
            told = f"this file was imported already, until {state.finished_at}: {state.posted:,} events"
            _say(f"{told}; --restart posts it again")
        else:
            sys.stdout.writelines(as_json_text({"finished_at": state.finished_at, "posted": 0, "refused": 0}, []))
        return 1 if state.refused else 0


def _outlook(report: Report) -> str:
    if report.contents.bad_lines:
        return f"{_lines(report.contents.bad_lines)} to mend; nothing was posted"
    return "no line is wrong; nothing was posted: leave out --dry-run to import"


def _outcome(wanted: Wanted, report: Report, done: Posted) -> str:
    rate = done.events / done.seconds if done.seconds else 0
    customers = counted_customers(report.contents.customers)
    said = [f"posted {done.events:,} events of {customers} in {done.seconds:,.1f} s ({rate:,.0f}/s)"]
    if done.state.posted > done.events:
        said.append(f"{done.state.posted - done.events:,} were posted before")
    if report.contents.bad_lines or done.state.refused:
        refused = f"{done.state.refused:,} event{'' if done.state.refused == 1 else 's'} refused by ingest"
        left_out = f"{_lines(report.contents.bad_lines)} left out, {refused}"
        said.append(f"{left_out}: {wanted.rejected} lists them")
    said.append("the engine takes them in the background: `jornada explain CUSTOMER` shows where somebody is,")
    said.append("`jornada dead-letters list` what it could not apply")
    return "\n".join(said)


def _numbers(done: Posted) -> Json:
    return {"posted": done.events, "refused": done.state.refused, "seconds": round(done.seconds, 3)}


def _lines(number: int) -> str:
    return f"{number:,} bad line{'' if number == 1 else 's'}"


def _say(text: str) -> None:
    console().print(as_typed_here(text), markup=False, soft_wrap=True)


def _text(mapping: RowMapping | None, encoding: str | None, delimiter: str | None) -> Text:
    try:
        named = known_encoding(encoding) if encoding else (mapping and mapping.encoding) or DEFAULT_ENCODING
    except ValueError as error:
        raise Permanent(f"--encoding: {error}") from None
    separator = {"\\t": "\t", "tab": "\t"}.get(delimiter or "", delimiter) or (mapping and mapping.delimiter) or None
    if separator is not None and (len(separator) != 1 or separator in '"\r\n'):
        raise Permanent(f"--delimiter: {delimiter!r} is not one character, such as ; or , or tab")
    return Text(named, separator)


def _key(path: Path | None) -> str:
    try:
        key = path.read_text(encoding="utf-8") if path else os.environ.get(_KEY, "")
    except (OSError, UnicodeDecodeError) as error:
        raise Permanent(f"--key-file {path} can't be read: {error}") from None
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        where = f"--key-file {path}" if path else _KEY
        advice = "put an API key there, as `jornada keys create` shows it; --dry-run needs none"
        raise Permanent(f"{where} holds no API key; {advice}")
    return key
