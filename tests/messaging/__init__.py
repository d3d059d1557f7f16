"""Tests of ailf.messaging."""
