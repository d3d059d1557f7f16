"""Attacks on the journal: a faulty disk, a killed process, lost power, several processes at once."""
