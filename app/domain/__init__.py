"""Letters and their rules: pure, without database, web or mail."""
