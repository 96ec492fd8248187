"""Composing and sending mails, without a database."""
