"""Computes the outcome of writes and their ledger rows in memory, before any SQL runs."""

from afterwrite.base.store_errors import StoreError
from afterwrite.resources.product import Product
from afterwrite.resources.write import Write, WriteError, WriteErrorCode, WriteStatus, apply_write


class StoreAway(StoreError):
    """Products cannot be written now: nothing was applied, retry the batch."""


def settle(write: Write, products: dict[int, Product | None], now_us: int) -> Write:
    """The settled write; updates its product in ``products`` unless it FAILED."""
    try:
        products[write.product_id] = apply_write(write, products.get(write.product_id))
    except WriteError as error:
        return _failed(write, error.code, error.message, now_us)
    return write._replace(status=WriteStatus.APPLIED.value, settled_at_us=now_us)


def refused(write: Write, error: Exception, now_us: int) -> Write:
    """The write as FAILED, because the database refused it."""
    return _failed(write, WriteErrorCode.CONSTRAINT_VIOLATED, f"The database refused it: {error}", now_us)


def _failed(write: Write, code: WriteErrorCode, message: str, now_us: int) -> Write:
    return write._replace(
        status=WriteStatus.FAILED.value, error_code=code.value, error_message=message, settled_at_us=now_us
    )
