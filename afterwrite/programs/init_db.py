"""Creates the schema and loads records: a file of any resource, or the sample catalogue into an empty one."""

import argparse
import contextlib
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TextIO

from afterwrite.base.counts import counted
from afterwrite.base.settings import Settings, SettingsError, from_environment
from afterwrite.base.store_errors import StoreError
from afterwrite.loading import SAMPLE_PRODUCTS, DecimalSign, RecordFile, TextFileError
from afterwrite.loading.checked_rows import check_sample_row, row_check, stored_batches
from afterwrite.loading.load import LoadFailed, RefusedRows, load_records
from afterwrite.programs.here import NoApplication, add_app_option, resources_here
from afterwrite.resources import first_version
from afterwrite.resources.compiled import CompiledResource
from afterwrite.resources.feed_names import feed_names
from afterwrite.storage.catalogue_load import CatalogueLoader, open_loader
from afterwrite.storage.stores import prepare_stores

_BAR_WIDTH = 30
_BAR_SECONDS = 0.1
_ASK = "say which it is: --decimal point or --decimal comma"

_DESCRIPTION = """\
Creates the database if it is missing, in DATA_DIR or at DATABASE_URL, then loads records. Safe to run twice.

Without FILE it loads the sample catalogue where there are no products yet; with --schema-only nothing. With FILE it
adds the records of that file, at every run: a JSON array, an object with such an array under the plural of the
resource, JSONL (one object a line), or CSV with a header row (comma, semicolon or tab), in UTF-8. The array may also
be under items, data, results or nodes, also nested. The fields and their accepted names, of which the first one with a
value wins, in any case in CSV:

{fields}
Every other name is ignored and reported, even the id: each record gets a new one. N/A and the like count as empty
where a field may be, unless it is a text. In CSV an empty cell is null, or the default of the field; surrounding space
is removed, a row of empty cells is skipped, and objects, lists and JSON fields are JSON. A number such as 1,234 may
mean 1234 or 1.234, and so may 1.234 in a file with semicolons: the other numbers of the file or --decimal decide.
Otherwise nothing is loaded. An export of the console is read back exactly,
with new ids.

A row that breaks a rule of the API is refused and reported; the others are loaded together, in one transaction: a load
that fails or is interrupted leaves the database as it was. Stop a server on DATA_DIR first; one on PostgreSQL may keep
running."""


def main(
    arguments: Sequence[str],
    resources: Mapping[str, CompiledResource] | None = None,
    sample: Path = SAMPLE_PRODUCTS,
    program: str = "afterwrite init-db",
) -> int:
    """Run the command, which loads ``sample`` where there are no products yet and no file is named.

    ``resources`` are those of the application, None: of the one that ``--app`` names in the current folder. Returns 0
    if records were loaded or there was nothing to do, else 1.
    """
    parser = _parser(program)
    options = parser.parse_args(arguments)
    try:
        if options.help:
            return _print_help(parser, options.app, resources)
        declared = resources_here(options.app) if resources is None else resources
        return _initialise(from_environment(), declared, options, sample)
    except (SettingsError, StoreError, TextFileError, LoadFailed) as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        print("init_db: interrupted; an unfinished load left the database unchanged", file=sys.stderr)
        return 130


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, add_help=False, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-h", "--help", action="store_true", help="show this text, with the fields of the application")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("file", metavar="FILE", nargs="?", type=Path, help="records to add")
    what.add_argument("--schema-only", action="store_true", help="bring the schema up to date, load nothing")
    parser.add_argument(
        "--resource",
        metavar="NAME",
        help="the resource of the file, such as order; may be left out if there is one only, or for products",
    )
    parser.add_argument(
        "--decimal",
        choices=[sign.value for sign in DecimalSign],
        help="the decimal sign of the file, for ambiguous numbers",
    )
    parser.add_argument("--report", metavar="FILE", type=Path, help="write every refused row to this file as JSONL")
    parser.add_argument("--check", action="store_true", help="only read FILE and report why it cannot be loaded")
    parser.add_argument(
        "--index-later",
        action="store_true",
        help="let the server build the search index: searches are exact at once, and fast once it is built",
    )
    add_app_option(parser)
    return parser


def _print_help(parser: argparse.ArgumentParser, app: str, resources: Mapping[str, CompiledResource] | None) -> int:
    """Print the help with the fields of the resources, as far as there is an application."""
    try:
        declared = resources_here(app) if resources is None else resources
        fields = [f"{resource.name}\n{feed_names(resource).accepted()}\n" for resource in declared.values()]
    except NoApplication as error:
        fields = [f"  ({error}: they are shown there)\n"]
    parser.description = _DESCRIPTION.format(fields="\n".join(fields))
    parser.print_help()
    return 0


def _initialise(
    settings: Settings, resources: Mapping[str, CompiledResource], options: argparse.Namespace, sample: Path
) -> int:
    resource = None if options.schema_only else _resource_of_file(resources, options.resource, options.file)
    if resource is None:
        prepare_stores(settings, resources)
        print(f"The schema {_place(settings)} is up to date")
        return 0
    with contextlib.ExitStack() as stack:
        decimal = DecimalSign(options.decimal) if options.decimal else None
        source = stack.enter_context(RecordFile(resource, options.file or sample, decimal, _ASK))
        if options.check:
            source.read_through()
            return 0
        report = stack.enter_context(_open_report(options.report, options.file)) if options.report else None
        loader = stack.enter_context(contextlib.closing(open_loader(settings, resources, resource)))
        if options.file is None and loader.holds_records():
            print(f"The catalogue {_place(settings)} has products already: nothing to load")
            return 0
        refused = RefusedRows(resource.noun, report)
        loaded = _load(loader, resource, source, refused, sample)
        for note in source.notes():
            print(f"note: {note}", file=sys.stderr)
        _print_refused(refused, options.report, loaded)
        if loaded and not options.index_later:
            _build_search_index(loader, resource)
        return 1 if refused.count and not loaded else 0


def _resource_of_file(
    resources: Mapping[str, CompiledResource], given: str | None, file: Path | None
) -> CompiledResource | None:
    """The resource to load; None if there is no file and no sample. Raises SettingsError."""
    usual = next((one for one in resources.values() if one.name == first_version.RESOURCE or len(resources) == 1), None)
    found = usual if given is None else _resource_named(resources, given)
    if file is None and (found is None or found.name != first_version.RESOURCE):
        if given is not None:
            raise SettingsError(f"--resource {given} says what a file holds: give the file too")
        return None
    if found is None:
        raise SettingsError(f"--resource is missing: say what {file} holds: {_names_of(resources)}")
    return found


def _resource_named(resources: Mapping[str, CompiledResource], given: str) -> CompiledResource:
    """The resource of a name or plural, in any case and with or without ``_`` and ``-``. Raises SettingsError."""
    for resource in resources.values():
        if _plain(given) in (_plain(resource.name), _plain(resource.plural)):
            return resource
    raise SettingsError(f"--resource {given!r} is not declared: give one of {_names_of(resources)}")


def _plain(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "")


def _names_of(resources: Mapping[str, CompiledResource]) -> str:
    return ", ".join(resource.snake for resource in resources.values())


def _place(settings: Settings) -> str:
    return "in PostgreSQL" if settings.database_url else str(settings.products_path)


def _open_report(report: Path, file: Path | None) -> TextIO:
    if file is not None and report.exists() and file.exists() and report.samefile(file):
        raise TextFileError(f"--report {report} is the file to load: give the report another name")
    try:
        return report.open("w", encoding="utf-8")
    except OSError as error:
        raise TextFileError(
            f"The report {report} cannot be written: {error.strerror}: check its folder and the rights"
        ) from error


def _load(
    loader: CatalogueLoader, resource: CompiledResource, source: RecordFile, refused: RefusedRows, sample: Path
) -> int:
    begin = time.perf_counter()
    bar = ProgressBar(source, resource, sys.stderr)
    check = row_check(resource)
    if source.path.resolve() == sample.resolve():
        check = partial(check_sample_row, check)
    try:
        loaded = load_records(loader.load(), stored_batches(source, check), refused, bar.show)
    finally:
        bar.clear()
    seconds = time.perf_counter() - begin
    what = _counted(loaded, resource)
    print(f"Loaded {what} from {source.path} in {seconds:.2f} s ({loaded / seconds:,.0f} a second)")
    return loaded


def _print_refused(refused: RefusedRows, report: Path | None, loaded: int) -> None:
    if not refused.count:
        return
    for line in refused.samples:
        print(f"refused: {line}", file=sys.stderr)
    hidden = refused.count - len(refused.samples)
    more = f", {hidden:,} more than shown" if hidden else ""
    where = f"all are in {report}" if report else "--report FILE writes all to a file"
    were = "was" if refused.count == 1 else "were"
    print(f"{counted(refused.count, 'row')} {were} refused{more}: {where}", file=sys.stderr)
    if loaded:
        print(
            "The accepted rows are in the database. Load only the corrected rows: the whole file would add the others "
            "again",
            file=sys.stderr,
        )


def _build_search_index(loader: CatalogueLoader, resource: CompiledResource) -> None:
    """Build the search index now, so that searches are fast at once; they are exact without it too."""
    begin = time.perf_counter()
    try:
        indexed = loader.index()
    except StoreError as error:
        print(f"init_db: the search index was left to the server: {error}", file=sys.stderr)
        return
    if indexed is not None:
        print(f"Indexed {_counted(indexed, resource)} for search in {time.perf_counter() - begin:.2f} s")


def _counted(number: int, resource: CompiledResource) -> str:
    return counted(number, resource.noun, resource.plural.replace("_", " "))


def _fail(message: str) -> int:
    print(f"init_db: {message}", file=sys.stderr)
    return 1


class ProgressBar:
    """A one-line progress bar on a terminal; silent elsewhere."""

    def __init__(self, source: RecordFile, resource: CompiledResource, stream: TextIO) -> None:
        self._source, self._resource = source, resource
        self._stream = stream
        self._on = stream.isatty()
        self._begin = self._shown = time.monotonic()

    def show(self, rows: int) -> None:
        """Redraw the bar, at most ten times a second."""
        now = time.monotonic()
        if not self._on or now - self._shown < _BAR_SECONDS:
            return
        self._shown = now
        share = min(1.0, self._source.file.bytes_read / max(1, self._source.file.size_bytes))
        filled = round(share * _BAR_WIDTH)
        bar = "#" * filled + "." * (_BAR_WIDTH - filled)
        speed = rows / max(now - self._begin, _BAR_SECONDS)
        self._stream.write(f"\r[{bar}] {share:4.0%} {_counted(rows, self._resource)}, {speed:,.0f} a second\x1b[K")
        self._stream.flush()

    def clear(self) -> None:
        if self._on:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
