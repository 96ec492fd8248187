"""What a letter is and what may happen to it: pure, without a database, web or mail."""
