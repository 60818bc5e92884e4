"""Makes the files beside this script that are no text: `python make.py`, with pyarrow."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent

# As `datasets` writes them: lists of structs, in which every call has the arguments of all.
ask = lambda text: {"role": "user", "content": text, "tool_calls": None, "tool_call_id": None}
say = lambda text: {"role": "assistant", "content": text, "tool_calls": None, "tool_call_id": None}
call = lambda id, tool, **arguments: {
    "role": "assistant", "content": None, "tool_call_id": None,
    "tool_calls": [{"id": id, "type": "function", "function": {"name": tool, "arguments": arguments}}],
}
result = lambda id, text: {"role": "tool", "content": text, "tool_calls": None, "tool_call_id": id}
rows = [
    {"messages": [ask("In a table?"), say("Yes.")], "source": "a"},
    {"messages": [ask("List."), call("c1", "ls", path="."), result("c1", "a.py"), say("a.py")], "source": "b"},
    {"messages": [ask("Find."), call("c2", "find", name="x"), result("c2", "none"), say("None.")], "source": "c"},
]
pq.write_table(pa.Table.from_pylist(rows), HERE / "tools.parquet", compression="zstd")
plain = [
    {"messages": [{"role": "user", "content": f"Question {n}?"}, {"role": "assistant", "content": f"Answer {n}."}]}
    for n in range(50)
]
pq.write_table(pa.Table.from_pylist(plain), HERE / "messages.parquet", compression="snappy")
pq.write_table(pa.Table.from_pylist(plain).slice(0, 0), HERE / "zero_rows.parquet")
pq.write_table(pa.table({"messages": pa.array([1, 2]), "id": ["a", "b"]}), HERE / "wrong_types.parquet")
text = "".join(json.dumps(row) + "\n" for row in plain[:20])
(HERE / "messages.jsonl.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
