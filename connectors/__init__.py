"""The vendors, one small module each, in one shape: connect, ping, the port's verbs, one translation of errors."""
