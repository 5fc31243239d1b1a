"""The write path: accept into the journal, drain, settle, wait."""
