"""From a letter's plain values to bytes on the wire. Knows no database."""
