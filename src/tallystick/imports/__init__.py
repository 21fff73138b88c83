"""Moving in: records of other systems as events of the native API. Pure mappings, no I/O.

Each mapping keeps the whole record as the event's data and gives it an id that depends on nothing
but the record, so that importing twice stores nothing twice.
"""
