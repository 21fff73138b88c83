"""A log as static files for any web server: a mirror, a page that explains it, and its growth.

The page needs no script; it says where the key, the checkpoint and the tiles are.
"""

from __future__ import annotations

import html
from pathlib import Path
from string import Template
from typing import Final

from tallystick import times
from tallystick.durable import replace_file
from tallystick.tlog.encoding import to_base64
from tallystick.witness.mirror import Mirrored

GROWTH_FILE: Final = "growth.csv"

_HEADER: Final = ["published_at", "size", "root"]
_ROWS_SHOWN: Final = 30
_MODE: Final = 0o644
_PAGE: Final = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Log $origin</title>
<style>body{font:16px/1.5 sans-serif;max-width:50em;margin:2em auto;padding:0 1em}
code{overflow-wrap:anywhere}td,th{text-align:left;padding:.2em 1em .2em 0}</style>
<h1>Log <code>$origin</code></h1>
<p>$size entries. This is a copy of an append-only Merkle log in the form of
<a href="https://c2sp.org/tlog-tiles">C2SP tlog-tiles</a>; all its hashes were checked against the
signed checkpoint before it was published.</p>
<dl>
<dt>Key that verifies the checkpoint; pin it</dt><dd><code>$key</code></dd>
<dt>Checkpoint</dt><dd><a href="checkpoint">checkpoint</a></dd>
<dt>Root</dt><dd><code>$root</code></dd>
</dl>
$verifier<h2>Growth</h2>
<p>Each line was published when it was new: a later copy of this page that contradicts an earlier
one proves that the log was changed. All of them: <a href="growth.csv">growth.csv</a>.</p>
<table><tr><th>published</th><th>entries</th><th>root</th></tr>
$rows
</table>
</html>
""")
_VERIFIER: Final = '<p><a href="verify.html">Verify a bundle or receipt</a> in this browser.</p>\n'


def publish_pages(
    folder: Path, mirrored: Mirrored, key: str, *, now_ms: int, verifier_page: bytes | None
) -> None:
    """Write the pages beside a mirrored log. Raises: OSError."""
    growth = _grown(folder / GROWTH_FILE, mirrored, now_ms)
    if verifier_page is not None:
        replace_file(folder / "verify.html", verifier_page, mode=_MODE)
    cells = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in growth)
    page = _PAGE.substitute(
        origin=html.escape(mirrored.origin),
        size=f"{mirrored.size:,}",
        key=html.escape(key),
        root=to_base64(mirrored.root),
        verifier="" if verifier_page is None else _VERIFIER,
        rows="\n".join(f"<tr>{row}</tr>" for row in list(cells)[: -_ROWS_SHOWN - 1 : -1]),
    )
    replace_file(folder / "index.html", page.encode(), mode=_MODE)


def _grown(path: Path, mirrored: Mirrored, now_ms: int) -> list[list[str]]:
    """Add a line to the growth unless the log is as it was; return all lines."""
    # Times, numbers and base64: nothing that would need quotes.
    lines = path.read_bytes().decode(errors="replace").splitlines() if path.exists() else []
    rows = [line.split(",") for line in lines[1:]]
    size, root = str(mirrored.size), to_base64(mirrored.root)
    if not rows or rows[-1][1:] != [size, root]:
        rows.append([times.to_rfc3339(now_ms), size, root])
        text = "".join(",".join(row) + "\n" for row in [_HEADER, *rows])
        replace_file(path, text.encode(), mode=_MODE)
    return rows
