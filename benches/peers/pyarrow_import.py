"""What `train data import` costs beside pyarrow, which reads the same file and writes it again.

    pip install pyarrow
    python benches/peers/pyarrow_import.py target/release/train --rows 10000 100000
    python benches/peers/pyarrow_import.py target/release/train --rows 10000 100000 1000000 --scale 0.1   # short texts

For each number of rows it makes a file with the columns of SWE-bench (texts of the usual lengths, lists of tests as JSON
inside of a string), then runs both in turns, each in a process of its own: seconds from start to exit, seconds of
processors, and the most memory that any process of it had. pyarrow does not look at what it reads; the import checks every
row and every patch, and waits until its file is on the disk.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile


def make(path: str, rows: int, codec: str, scale: float = 1.0) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    random.seed(7)
    words = ["".join(random.choices("abcdefghijklmnopqrstuvwxyz_", k=random.randint(2, 11))) for _ in range(5000)]
    schema = pa.schema(
        [(name, pa.string()) for name in (
            "repo instance_id base_commit patch test_patch problem_statement hints_text created_at version"
            " FAIL_TO_PASS PASS_TO_PASS environment_setup_commit difficulty").split()]
    )

    def text(count: int) -> str:
        return " ".join(random.choices(words, k=max(1, int(count * scale))))

    def lines(count: int, sign: str) -> str:
        return "".join(f"{sign}    {text(random.randint(3, 9))}\n" for _ in range(count))

    def patch(name: str) -> str:
        hunks = random.randint(1, 3)
        body = "".join(
            f"@@ -{100 * i + 10},7 +{100 * i + 10},9 @@ def {words[i]}():\n{lines(3, ' ')}{lines(1, '-')}{lines(3, '+')}{lines(3, ' ')}"
            for i in range(hunks)
        )
        return f"diff --git a/src/{name}.py b/src/{name}.py\n--- a/src/{name}.py\n+++ b/src/{name}.py\n{body}"

    # Parts are drawn once and put together anew, so that a million rows take minutes, not hours.
    patches = [patch(random.choice(words)) for _ in range(2000)]
    statements = [text(random.randint(60, 500)) for _ in range(4000)]
    lists = [
        json.dumps([f"tests/test_{random.choice(words)}.py::test_{random.choice(words)}[{i}]" for i in range(max(1, int(scale * random.choice((5, 20, 40, 120)))))])
        for _ in range(1000)
    ]
    with pq.ParquetWriter(path, schema, compression=codec) as writer:
        for start in range(0, rows, 20000):
            count = min(20000, rows - start)
            columns = {
                "repo": [f"{random.choice(words[:12])}/{words[0]}" for _ in range(count)],
                "instance_id": [f"{words[0]}__{words[1]}-{start + i}" for i in range(count)],
                "base_commit": [f"{random.getrandbits(160):040x}" for _ in range(count)],
                "patch": random.choices(patches, k=count),
                "test_patch": random.choices(patches, k=count),
                "problem_statement": [random.choice(statements) + str(start + i) for i in range(count)],
                "hints_text": [random.choice(statements) if i % 3 else "" for i in range(count)],
                "created_at": ["2019-03-20T03:46:18Z"] * count,
                "version": random.choices(["4.10", "3.1", "5.0"], k=count),
                "FAIL_TO_PASS": random.choices(['["tests/test_a.py::test_x"]', '["tests/test_a.py::test_x", "tests/test_a.py::test_y[1]"]'], k=count),
                "PASS_TO_PASS": random.choices(lists, k=count),
                "environment_setup_commit": [f"{random.getrandbits(160):040x}" for _ in range(count)],
                "difficulty": ["<15 min fix"] * count,
            }
            writer.write_table(pa.table(columns, schema=schema))


PEER = "import sys, pyarrow.parquet as pq; pq.write_table(pq.read_table(sys.argv[1]), sys.argv[2], compression='zstd')"


def timed(command: list[str]) -> list[float]:
    """Seconds, seconds of processors, and the most MiB that any process had."""
    code = (
        "import json, resource, subprocess, sys, time\n"
        "started = time.monotonic()\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "seconds, used = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(json.dumps([seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))"
    )
    told = subprocess.run([sys.executable, "-c", code, *command], check=True, capture_output=True, text=True).stdout
    return json.loads(told)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("train")
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--codec", default="snappy")
    parser.add_argument("--scale", type=float, default=1.0, help="how long texts and lists are")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--folder", default=tempfile.gettempdir())
    args = parser.parse_args()
    for rows in args.rows:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            source = os.path.join(folder, "rows.parquet")
            make(source, rows, args.codec, args.scale)
            size = os.path.getsize(source) / 2**20
            ours, peers = [], []
            for _ in range(args.turns):
                out = os.path.join(folder, "out.parquet")
                ours.append(timed([args.train, "data", "import", source, "--out", out]))
                peers.append(timed([sys.executable, "-c", PEER, source, out]))
            median = lambda runs, what: sorted(run[what] for run in runs)[len(runs) // 2]
            told = lambda runs: (
                f"{median(runs, 0):.2f} s, {median(runs, 1):.2f} s of processors, {max(run[2] for run in runs):.0f} MiB"
            )
            ratios = [median(ours, what) / median(peers, what) for what in (0, 1)]
            print(
                f"{rows} rows, {size:.0f} MiB: import {told(ours)}; pyarrow {told(peers)};"
                f" ratios {ratios[0]:.2f} and {ratios[1]:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
