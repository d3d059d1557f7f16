"""How fast ailf is, as ratios to plain ``sqlite3`` in the same run, and beside what people use today.

``python -m benchmarks`` measures the goals, ``python -m benchmarks peers`` the other libraries.
"""
