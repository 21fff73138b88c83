"""Followers: processes that read the log in order and keep something derived from it."""
