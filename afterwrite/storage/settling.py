"""Computes the outcome of writes and their ledger rows in memory, before any SQL runs."""

from collections.abc import Callable, Mapping, Sequence

from afterwrite.base.store_errors import StoreError
from afterwrite.resources.product import Product
from afterwrite.resources.write import Write, WriteError, WriteErrorCode, WriteStatus, apply_write


class StoreAway(StoreError):
    """Products cannot be written now: nothing was applied, retry the batch."""


def settle_all(
    writes: Sequence[Write], before: Mapping[int, Product], now_us: Callable[[], int]
) -> tuple[list[Write], list[Product], list[int]]:
    """The settled writes, the products to store, and the ids of those to delete; ``before`` has the existing ones."""
    after: dict[int, Product | None] = dict(before)
    settled = [_settle(write, after, now_us()) for write in writes]
    changed = {key: product for key, product in after.items() if before.get(key) is not product}
    stored = [product for product in changed.values() if product is not None]
    return settled, stored, [key for key, product in changed.items() if product is None]


def refused(write: Write, error: Exception, now_us: int) -> Write:
    """The write as FAILED, because the database refused it."""
    return _failed(write, WriteErrorCode.CONSTRAINT_VIOLATED, f"The database refused it: {error}", now_us)


def _settle(write: Write, products: dict[int, Product | None], now_us: int) -> Write:
    """The settled write; updates its product in ``products`` unless it FAILED."""
    try:
        products[write.product_id] = apply_write(write, products.get(write.product_id))
    except WriteError as error:
        return _failed(write, error.code, error.message, now_us)
    return write._replace(status=WriteStatus.APPLIED.value, settled_at_us=now_us)


def _failed(write: Write, code: WriteErrorCode, message: str, now_us: int) -> Write:
    return write._replace(
        status=WriteStatus.FAILED.value, error_code=code.value, error_message=message, settled_at_us=now_us
    )
