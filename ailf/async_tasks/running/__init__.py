"""What this process runs: slots and their queue, each task, one piece of work to its outcome, context, observers.

It records changes and is told when they are committed; it knows no SQL. It may import the values, the checks of
arguments and what the journal says of a result and of a record, and nothing of who reads, who is alive or who manages.
"""
