"""Says what can be wrong with a database."""


class StoreError(Exception):
    """A database that cannot be used; the text names it and says what to do."""


class StoreUnavailable(StoreError):
    """A database cannot be used at the moment; nothing of the attempt was done."""


class TransactionConflict(StoreUnavailable):
    """Two transactions were in each other's way (a deadlock, a serialization failure): to be done again."""
