"""The command ``ailf`` (extra ``cli``)."""
