"""Tests of ailf.messaging.redis."""
