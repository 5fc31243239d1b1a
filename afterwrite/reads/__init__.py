"""Pages, cursors and filters of reads."""
