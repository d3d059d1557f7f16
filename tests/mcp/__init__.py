"""The tests of what is there for agents."""
