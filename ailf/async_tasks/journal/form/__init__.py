"""What the file looks like: tables, views, triggers; rows and values; connections and paths.

It decides nothing and asks nothing. It may import the values alone.
"""
