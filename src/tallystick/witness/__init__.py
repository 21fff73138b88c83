"""Witnesses: others who vouch that a log only grew, and being one for the logs of others."""
