"""Settings, logs, tracing, ids and the background loop: what every room stands on."""
