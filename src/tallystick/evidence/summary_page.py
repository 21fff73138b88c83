"""The page of a bundle that people print: what is in it and how it is checked."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence

from tallystick.events.event import Json

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Evidence from {origin}</title>
<style>body{{font:11pt/1.4 serif;max-width:45em;margin:2em auto}}
td,th{{text-align:left;padding:.2em 1em .2em 0;vertical-align:top}}
code{{font-size:9pt;overflow-wrap:anywhere}}</style></head><body>
<h1>Evidence bundle</h1>
<table>{rows}</table>
<h2>How to check it</h2>
<p>Open <code>verify.html</code> in a browser and drop the bundle on it, or run
<code>python3 verify.py BUNDLE --key KEY</code>. Both work without a network. This page itself
proves nothing. Compare the log's key with one that you got from its operator by another way.</p>
</body></html>
"""


def summary_page(manifest: Json, vkey: str, omitted: Sequence[tuple[int, int, str]]) -> bytes:
    """Return the page as HTML; the same bundle gives the same bytes."""
    rows = {
        "Log": manifest["origin"],
        "Key of the log": vkey,
        "Entries in the log": f"{manifest['size']:,}",
        "Question": json.dumps(manifest["question"], ensure_ascii=False, sort_keys=True),
        "Events": f"{manifest['events']:,}",
        "Entries in this bundle": f"{manifest['entries']:,}",
    }
    if manifest["range"] is not None:
        start, stop = manifest["range"]
        counts: dict[str, int] = {}
        for first, last, reason in omitted:
            counts[reason] = counts.get(reason, 0) + last - first + 1
        left_out = ", ".join(f"{count:,} {reason}" for reason, count in sorted(counts.items()))
        rows["Complete range"] = f"entries {start:,} to {stop - 1:,}" if stop > start else "empty"
        rows["By hash only"] = left_out or "none"
    cells = "".join(
        f"<tr><th>{html.escape(name)}</th><td><code>{html.escape(str(value))}</code></td></tr>\n"
        for name, value in rows.items()
    )
    return _PAGE.format(origin=html.escape(manifest["origin"]), rows=cells).encode()
