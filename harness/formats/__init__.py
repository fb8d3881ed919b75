"""Histories of other tools: read into, and written from, harness.history.History."""
