"""Tests of the page: without a browser, and with a real one."""
