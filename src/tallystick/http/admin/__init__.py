"""The administrative API: tenants, keys, users, key sets, clients and holds."""
