"""Every question to the file: the queries, a blocking and an awaitable reader, reports, whether anybody has written.

Nothing here writes. It may import ``form`` and the values.
"""
