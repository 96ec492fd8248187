"""The postmaster's desk: the pages behind the login."""
