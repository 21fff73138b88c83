"""Export jobs: files that a server writes on request and keeps for a while.

One mechanism for exports and evidence bundles: `files` says what a file is and how far it is,
`erasures` which of them may not be shown any more, `runner` writes them, `jobs` is what others
call. A file can always be written again, so everything here may be lost but the record.
"""
