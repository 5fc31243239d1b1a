"""The foundation of every package: settings, logging, tracing, ids and the background loop."""
