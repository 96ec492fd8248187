"""What a mail server said, in one line, as operators and writers read it: `550 5.1.1 no such user`."""

SAID = """
    TRIM(COALESCE(code || ' ', '') || CASE WHEN enhanced <> '' THEN enhanced || ' ' ELSE '' END || answer)
"""
"""Of a row of `attempts`; empty where nothing was said."""
SAID_OR_OUTCOME = f"COALESCE(NULLIF({SAID}, ''), outcome)"
