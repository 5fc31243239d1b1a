"""Storage in the SQLite files of a data folder, owned by one process."""
