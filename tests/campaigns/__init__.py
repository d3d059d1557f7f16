"""Long campaigns, each a command of its own; the tests run short variants."""
