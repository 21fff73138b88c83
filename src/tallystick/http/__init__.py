"""The asynchronous door: routes, credentials from requests, errors as answers."""
