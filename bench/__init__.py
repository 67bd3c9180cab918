"""Ratios to physical limits: what a person waits, beside what the outside calls alone take. `make bench` runs it."""
