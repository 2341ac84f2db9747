"""CSV text of Arrow tables, many rows at once, with quotes only where a value needs them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_NEEDS_QUOTES = '[",\r\n]'


def csv_header(names: list[str]) -> bytes:
    """Returns the line of the column names."""
    return (",".join(names) + "\n").encode()


def csv_lines(table: Any) -> bytes:
    """Returns the lines of the rows of an Arrow table, without a header; nulls and "" are empty fields."""
    if not table.num_rows:
        return b""
    fields = [pc.fill_null(_text(column), "") for column in table.combine_chunks().columns]
    lines = pc.binary_join_element_wise(pc.binary_join_element_wise(*fields, ","), "", "\n")
    # The values of one string array lie one after the other in its buffer: that is the file's text.
    return b"".join(bytes(chunk.buffers()[2]) for chunk in lines.chunks)


def _text(column: Any) -> Any:
    if not pa.types.is_string(column.type):
        return pc.cast(column, pa.string())
    needs = pc.match_substring_regex(column, _NEEDS_QUOTES)
    if not pc.any(needs).as_py():
        return column
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(column, '"', '""'), '"', "")
    return pc.if_else(needs, quoted, column)
