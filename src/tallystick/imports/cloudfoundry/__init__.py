"""Copies the audit events of a Cloud Foundry deployment."""
