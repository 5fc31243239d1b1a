"""Measures console pages: a list of 50 products, and the same page unchanged (304)."""

import http.client
import time

from bench import servers
from bench.compare import our_catalogue
from bench.plan import Plan
from bench.table import Row, median, ms, percentile, whole

PRODUCTS = 50_000
REQUESTS = 100
PAGE_MS = 30.0
PAGE_BYTES = 100_000


def console_pages(plan: Plan) -> list[Row]:
    """Request `/products` over one connection, first in full, then with its ETag."""
    plan.say(f"pages of {PRODUCTS:,} products")
    folder = our_catalogue(plan.folder / "pages", PRODUCTS)
    with servers.afterwrite(folder) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        try:
            first, _ = _page(connection, {})
            cookie = {"Cookie": str(first.headers["Set-Cookie"]).partition(";")[0]}
            whole_ms, size = _times(connection, cookie, 200)
            last, _ = _page(connection, cookie)
            tag = {"If-None-Match": str(last.headers["ETag"])}
            same_ms, _ = _times(connection, cookie | tag, 304)
        finally:
            connection.close()
    page, same = median(whole_ms), median(same_ms)
    title = f"page of 50 out of {whole(PRODUCTS)} products"
    return [
        Row(title, ms(page), f"p95 {ms(percentile(whole_ms, 95))}", "", f"<= {PAGE_MS:g} ms", page <= PAGE_MS),
        Row("  its weight", f"{whole(size)} bytes", goal=f"<= {whole(PAGE_BYTES)}", reached=size <= PAGE_BYTES),
        Row("  unchanged: 304", ms(same), f"p95 {ms(percentile(same_ms, 95))}"),
    ]


def _times(connection: http.client.HTTPConnection, headers: dict[str, str], status: int) -> tuple[list[float], int]:
    """Return the milliseconds of each answer and the size of the last one; RuntimeError for another status."""
    taken, size = [], 0
    for _ in range(REQUESTS):
        begin = time.perf_counter()
        answer, size = _page(connection, headers)
        taken.append((time.perf_counter() - begin) * 1_000)
        if answer.status != status:
            raise RuntimeError(f"/products was answered with {answer.status} instead of {status}")
    return taken, size


def _page(connection: http.client.HTTPConnection, headers: dict[str, str]) -> tuple[http.client.HTTPResponse, int]:
    """Return the answer, read to its end, and the size of its body."""
    connection.request("GET", "/products", headers={"Accept": "text/html", **headers})
    answer = connection.getresponse()
    return answer, len(answer.read())
