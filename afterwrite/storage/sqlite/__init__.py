"""Keeps products, journal, ledger and tasks in the files of a data folder, for one process."""
