"""Slow Mailbox: letters that arrive 7 days later, and again 30 days later."""
