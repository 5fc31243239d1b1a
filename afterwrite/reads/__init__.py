"""Pages, cursors and filters for reads."""
