"""Black-box tests over HTTP against a running server: quiet, --verbose or --debug.

Standard library only, and python-dotenv where there is a settings file. Every test product is deleted again and every
test task has ended, also after a failure; what was there before is never touched. Nothing sleeps: tests wait through
`createProductSync`, `afterWrite` and `taskUpdated`.
"""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from afterwrite.base.settings import SettingsError, from_environment
from afterwrite.base.utf8 import use_utf8
from integration.api import Api, Failed, Skipped, Unreachable
from integration.products import PRODUCT_TESTS, Shop
from integration.tasks import TASK_TESTS, Desk

LOG_LINES = 50
_WORDS = {"passed": "ok   ", "failed": "FAIL ", "skipped": "skip "}


def run_test(name: str, test: Callable[[], None], debug_log: Path | None) -> str:
    """Run one test and print its line; return "passed", "failed" or "skipped"."""
    begin = time.perf_counter()
    came, why = "passed", ""
    try:
        test()
    except Skipped as error:
        came, why = "skipped", str(error)
    except (Failed, KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        came = "failed"
        why = str(error) if isinstance(error, Failed) else f"an answer of another shape: {error!r}"
    took = f"{(time.perf_counter() - begin) * 1_000:.0f} ms"
    print(f"{_WORDS[came]} {name} ({took})" + (f": {why}" if why else ""), flush=True)
    if came == "failed" and debug_log:
        show_log(debug_log)
    return came


def run_all(api: Api, debug_log: Path | None) -> Counter[str]:
    """Run every test, then delete or end what they made; return how many passed, failed and were skipped."""
    shop, desk = Shop(api), Desk(api)
    came: Counter[str] = Counter()

    def run(name: str, test: Callable[[], None]) -> None:
        came[run_test(name.replace("_", " "), test, debug_log)] += 1

    try:
        for product_test in PRODUCT_TESTS:
            run(product_test.__name__, partial(product_test, shop))
        for task_test in TASK_TESTS:
            run(task_test.__name__, partial(task_test, desk))
    finally:
        run("no test product is left behind", shop.clear)
        run("no test task is left running", desk.clear)
    return came


def show_log(path: Path) -> None:
    """Print the last lines of the server's log."""
    print(f"--- SERVER LOG: the last {LOG_LINES} lines of {path} ---")
    try:
        print("\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]))
    except OSError as error:
        print(f"the log cannot be read ({error}): give its path with --log-file")


def read_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options; PORT, DATA_DIR and LOG_FILE give the defaults, as they do for the server.

    Raises SettingsError.
    """
    settings = from_environment()
    parser = argparse.ArgumentParser(description="Test a running Afterwrite server over HTTP.")
    parser.add_argument(
        "--url", default=f"http://127.0.0.1:{settings.port}", help="address of the server (%(default)s)"
    )
    parser.add_argument(
        "--key",
        default=os.environ.get("API_KEY", "").strip(),
        metavar="KEY",
        help="a key with the role admin, where the server wants one (API_KEY)",
    )
    parser.add_argument("--verbose", action="store_true", help="show each request and response")
    parser.add_argument("--debug", action="store_true", help="as --verbose, and the server's last log lines")
    parser.add_argument(
        "--log-file", type=Path, default=settings.log_path, help="the server's log (%(default)s)"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Test the server; return 0 if no test failed and 1 if one did."""
    try:
        options = read_arguments(arguments)
    except SettingsError as error:
        print(f"FAIL  {error}")
        return 1
    debug_log: Path | None = options.log_file if options.debug else None
    begin = time.perf_counter()
    try:
        came = run_all(Api(options.url, options.verbose or options.debug, options.key), debug_log)
    except Unreachable as error:
        print(f"FAIL  {error}")
        return 1
    finally:
        if debug_log:
            show_log(debug_log)
    skipped = f", {came['skipped']} skipped" if came["skipped"] else ""
    took = time.perf_counter() - begin
    print(f"{came['passed']} passed, {came['failed']} failed{skipped} in {took:.1f} s")
    return 1 if came["failed"] else 0


if __name__ == "__main__":
    use_utf8()
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
