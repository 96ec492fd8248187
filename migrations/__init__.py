"""Tortoise's built-in migrations. `_tables.py` says why the tables are written as SQL."""
