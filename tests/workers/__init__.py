"""Tests of ailf.workers."""
