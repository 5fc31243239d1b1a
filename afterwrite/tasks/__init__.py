"""Durable tasks and their workers."""
