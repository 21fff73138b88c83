"""Tables: ids and times stay whole at every width, wide characters stay aligned."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tallystick.cli.table import lines, shortened

ID = "01a1fc5c-f743-71be-b867-3300000001f6"
TIME = "2026-11-21T04:28:33.475Z"
COLUMNS = ("index", "occurred_at", "kind", "actor", "target", "id")
ROW = {
    "index": 1234567, "occurred_at": TIME, "kind": "audit.app.process.update" * 3, "id": ID,
    "actor": {"type": "user", "id": "1", "name": "用户删除了合同" * 4},
    "target": {"type": "order", "id": "Microsoft.Compute/virtualMachines/vm-02"},
}  # fmt: skip


def test_in_a_pipe_everything_is_whole() -> None:
    (_, body), left_out = lines([ROW], COLUMNS, None)
    assert left_out == []
    for text in (ID, TIME, ROW["kind"], "Microsoft.Compute/virtualMachines/vm-02"):
        assert str(text) in body


@pytest.mark.parametrize("width", [*range(62, 200, 7), 80])
def test_on_a_narrow_terminal_ids_and_times_are_never_broken(width: int) -> None:
    found, left_out = lines([ROW, {**ROW, "actor": {"name": "👩‍🚀 Kim"}}], COLUMNS, width)
    assert len(found) == 3
    for line in found[1:]:
        assert ID in line
        assert TIME in line
        assert cell_len(line) <= width
    assert set(left_out) <= {"index", "kind", "actor", "target"}


def test_columns_are_left_out_from_the_right() -> None:
    assert lines([ROW], COLUMNS, 300)[1] == []
    assert lines([ROW], COLUMNS, 90)[1] == ["actor", "target"]
    assert lines([ROW], COLUMNS, 62)[1] == ["index", "kind", "actor", "target"]
    found, left_out = lines([ROW], COLUMNS, 40)
    assert left_out == ["index", "occurred_at", "kind", "actor", "target"]
    assert found[1] == ID


def test_wide_characters_take_two_cells() -> None:
    rows = [{"name": "合同", "id": "a"}, {"name": "abcd", "id": "b"}, {"name": "é", "id": "c"}]
    head, *body = lines(rows, ("name", "id"), None)[0]
    assert [cell_len(line.rpartition(" ")[0]) for line in body] == [5, 5, 5]
    assert head == "name  id"


@given(st.text(max_size=30), st.integers(3, 20))
def test_a_text_is_shortened_in_its_middle(text: str, width: int) -> None:
    short = shortened(text, width)
    assert cell_len(short) <= max(width, 0)
    if cell_len(text) <= width:
        assert short == text
    else:
        head, _, tail = short.partition("…")
        assert text.startswith(head)
        assert text.endswith(tail)


def test_a_terminal_is_told_nothing_by_names() -> None:
    rows = [{"name": "a\nb\x1b[31mc\u202ed\u2028", "id": "x"}]
    [_, body] = lines(rows, ("name", "id"), None)[0]
    assert body == "a�b�[31mc�d�  x"
