"""The health of the file: who is alive, what is too old, which release made it, is it whole, what others ask for.

All that is done between two batches, or from outside by the command. It may import the other wings of the journal.
"""
