"""Creates the schema and loads products: a file, or the sample catalogue into an empty one."""

import argparse
import contextlib
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TextIO

from afterwrite import loading
from afterwrite.base.counts import counted
from afterwrite.base.settings import Settings, SettingsError, from_environment
from afterwrite.base.store_errors import StoreError
from afterwrite.loading import SAMPLE_PRODUCTS, CatalogueFile, DecimalSign, TextFileError
from afterwrite.loading.checked_rows import check_sample_row, checked_batches, row_check
from afterwrite.loading.load import LoadFailed, RefusedRows, load_products
from afterwrite.programs.here import add_app_option, resources_here
from afterwrite.resources import first_version
from afterwrite.resources.compiled import CompiledResource
from afterwrite.storage.catalogue_load import CatalogueLoader, open_loader
from afterwrite.storage.stores import prepare_stores

_BAR_WIDTH = 30
_BAR_SECONDS = 0.1
_ASK = "say which it is: --decimal point or --decimal comma"

_DESCRIPTION = f"""\
Creates the product database if it is missing, in DATA_DIR or at DATABASE_URL, then loads products. Safe to run twice.

Without FILE it loads the sample catalogue into an empty catalogue; with --schema-only nothing. With FILE it adds the
products of that file, at every run: a JSON array, an object with an array "products", JSONL (one object a line), or
CSV with a header row (comma, semicolon or tab), in UTF-8. The array may also be under items, data, results or nodes,
also nested. The fields and their accepted names:

{loading.NAMES}
In CSV an empty cell is null, surrounding space is removed, a row of empty cells is skipped, and rating, image,
images and category may hold JSON. A number such as 1,234 may mean 1234 or 1.234, and so may 1.234 in a file
with semicolons: the other numbers of the file or --decimal decide. Otherwise nothing is loaded.

A row that breaks a rule of the API is refused and reported; the others are loaded together, in one
transaction: a load that fails or is interrupted leaves the catalogue as it was. Stop a server on DATA_DIR
first; one on PostgreSQL may keep running."""


def main(
    arguments: Sequence[str],
    resources: Mapping[str, CompiledResource] | None = None,
    sample: Path = SAMPLE_PRODUCTS,
    program: str = "afterwrite init-db",
) -> int:
    """Run the command, which loads ``sample`` into an empty catalogue where no file is named.

    ``resources`` are those of the application, None: of the one that ``--app`` names in the current folder. Returns 0
    if products were loaded or there was nothing to do, else 1.
    """
    options = _parser(program).parse_args(arguments)
    try:
        declared = resources_here(options.app) if resources is None else resources
        return _initialise(from_environment(), declared, options, sample)
    except (SettingsError, StoreError, TextFileError, LoadFailed) as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        print("init_db: interrupted; an unfinished load left the catalogue unchanged", file=sys.stderr)
        return 130


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program, description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("file", metavar="FILE", nargs="?", type=Path, help="products to add")
    what.add_argument("--schema-only", action="store_true", help="bring the schema up to date, load nothing")
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


def _initialise(
    settings: Settings, resources: Mapping[str, CompiledResource], options: argparse.Namespace, sample: Path
) -> int:
    products = resources.get(first_version.RESOURCE)
    if options.schema_only or (products is None and options.file is None):
        prepare_stores(settings, resources)
        print(f"The schema {_place(settings)} is up to date")
        return 0
    if products is None:
        raise SettingsError("This application declares no Product, which is what can be loaded: leave the file out")
    with contextlib.ExitStack() as stack:
        decimal = DecimalSign(options.decimal) if options.decimal else None
        source = stack.enter_context(CatalogueFile(options.file or sample, decimal, _ASK))
        if options.check:
            source.read_through()
            return 0
        report = stack.enter_context(_open_report(options.report, options.file)) if options.report else None
        loader = stack.enter_context(contextlib.closing(open_loader(settings, resources, products)))
        if options.file is None and loader.holds_records():
            print(f"The catalogue {_place(settings)} has products already: nothing to load")
            return 0
        refused = RefusedRows(report)
        loaded = _load(loader, products, source, refused, sample)
        for note in source.notes():
            print(f"note: {note}", file=sys.stderr)
        _print_refused(refused, options.report, loaded)
        if loaded and not options.index_later:
            _build_search_index(loader)
        return 1 if refused.count and not loaded else 0


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
    loader: CatalogueLoader, products: CompiledResource, source: CatalogueFile, refused: RefusedRows, sample: Path
) -> int:
    begin = time.perf_counter()
    bar = ProgressBar(source, sys.stderr)
    check = row_check(products)
    if source.path.resolve() == sample.resolve():
        check = partial(check_sample_row, check)
    try:
        loaded = load_products(loader.load(), checked_batches(source, products.stored_values, check), refused, bar.show)
    finally:
        bar.clear()
    seconds = time.perf_counter() - begin
    print(
        f"Loaded {counted(loaded, 'product')} from {source.path} in {seconds:.2f} s ({loaded / seconds:,.0f} a second)"
    )
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
            "The accepted rows are in the catalogue. Load only the corrected rows: the whole file would add the others "
            "again",
            file=sys.stderr,
        )


def _build_search_index(loader: CatalogueLoader) -> None:
    """Build the search index now, so that searches are fast at once; they are exact without it too."""
    begin = time.perf_counter()
    try:
        indexed = loader.index()
    except StoreError as error:
        print(f"init_db: the search index was left to the server: {error}", file=sys.stderr)
        return
    if indexed is not None:
        print(f"Indexed {counted(indexed, 'product')} for search in {time.perf_counter() - begin:.2f} s")


def _fail(message: str) -> int:
    print(f"init_db: {message}", file=sys.stderr)
    return 1


class ProgressBar:
    """A one-line progress bar on a terminal; silent elsewhere."""

    def __init__(self, source: CatalogueFile, stream: TextIO) -> None:
        self._source = source
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
        self._stream.write(f"\r[{bar}] {share:4.0%} {counted(rows, 'product')}, {speed:,.0f} a second\x1b[K")
        self._stream.flush()

    def clear(self) -> None:
        if self._on:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
