"""A process of Afterwrite: its stores, queue, tasks and background loop."""
