#!/usr/bin/env python3
"""fleet/chains.py on a master and two workers must say what `rpcscope chains` says of the same files (make fleet-test).

    fleet/test.py target/debug/rpcscope

The records are those of each host of bundled captures, of a generated fleet, and some by hand: trees across midnight, keys that come
again, missing parents, circles. Then a worker is killed while it judges. Linux only: processes are found in /proc.
"""

import collections
import glob
import gzip
import json
import os
import pathlib
import queue
import re
import signal
import struct
import subprocess
import sys
import tempfile
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pyspark

import generate

HERE = pathlib.Path(__file__).resolve().parent
CAPTURES = HERE.parent / "captures"
SPARK = pathlib.Path(pyspark.__file__).parent

# Captures between hosts with addresses of their own.
SPLIT = ["trpc/chain-mixed", "trpc/chain-timeout", "kitex/kitex-chains", "kitex/chain-four-hops", "grpc/chain-grpc-ttheader-grpc"]

# Nothing takes so long, in seconds.
LONGEST = 900

MIDNIGHT = generate.BEGIN + 2 * generate.HOUR
MS = 1_000_000


# Records.


def hosts_of(capture):
    """What each host captured, by its clock: address to file."""
    data = capture.read_bytes()
    magic, _, _, _, _, _, link = struct.unpack_from("<IHHIIII", data)
    assert magic == 0xA1B2C3D4, f"{capture}: {magic:#x}"
    skip = {1: 14, 101: 0, 113: 16, 276: 20}[link]
    files, at = {}, 24
    while at < len(data):
        seconds, micros, size, _ = struct.unpack_from("<IIII", data, at)
        packet = data[at + 16 : at + 16 + size]
        at += 16 + size
        if len(packet) < skip + 20 or packet[skip] >> 4 != 4:
            continue
        for address in {packet[skip + 12 : skip + 16], packet[skip + 16 : skip + 20]}:
            # Clocks differ by up to 3 s.
            head = struct.pack("<II", seconds + address[3] % 4, micros)
            files.setdefault(address, bytearray(data[:24])).extend(head + data[at - size - 8 : at])
    return {".".join(map(str, address)): bytes(file) for address, file in files.items()}


def record_captures(rpcscope, folder):
    for name in SPLIT:
        hosts = hosts_of(CAPTURES / f"{name}.pcap")
        assert len(hosts) > 2, name
        for host, file in hosts.items():
            path = folder / f"dt=2026-11-22/hour=01/host={host}"
            path.mkdir(parents=True, exist_ok=True)
            capture = folder.parent / "host.pcap"
            capture.write_bytes(file)
            table = path / f"{name.replace('/', '-')}.parquet"
            subprocess.run([rpcscope, "calls", "--link", "--format", "parquet", "--host", host, "-o", table, capture], check=True)


def key(number):
    return f"{number:032x}"


def record(number, host, start, took=10 * MS, parent=None, **others):
    """A record by hand: that host's, by its own clock."""
    row = {
        "uid": str(number),
        "start": start // 1000,
        "start_ns": start,
        "latency_ns": took,
        "duration_ns": took,
        "client": "10.9.0.1:4000",
        "server": "10.9.0.2:8888",
        "transport": "ttheader",
        "network": "tcp",
        "rpc": "thrift",
        "service": f"Service{number % 10}",
        "method": "Get",
        "kind": "unary",
        "class": "ok",
        "carrier": "none",
        "findings": [],
        "packets": [number, number + 1],
        "call_key": key(number),
        "conn_key": key(1),
        "host": host,
    }
    if parent:
        row |= {"parent_key": key(parent), "parent_confidence": 0.95, "parent_evidence": "names", "observer": "client"}
    return row | others


FAILED = {"class": "business", "carrier": "biz-status", "code": 4041, "message": "no stock"}

SPAN = {"service": "Nat", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7"}

NUMBER = {"service": "Number", "request_seq": 4_294_967_295, "id": 3, "request_bytes": 200, "response_bytes": 90}

LOG = {"service": "Log", "log_id": "20261126093011ABCDEF", "id": 70_000, "request_bytes": 200, "response_bytes": 90}


def records_by_hand():
    t = MIDNIGHT
    rows = [
        # Across midnight, and so across folders: the error came the next day.
        record(100, "a", t - 5 * MS, 20 * MS, **FAILED),
        record(100, "b", t - 4 * MS, 18 * MS, **FAILED),
        record(101, "b", t + 1 * MS, 9 * MS, 100, **FAILED),
        record(101, "c", t + 2 * MS, 7 * MS, **FAILED),
        # A key that comes again after two minutes, each time with a call below it.
        *(record(200, host, t + when * generate.SECOND + late) for when in (0, 120, 7200) for host, late in (("a", 0), ("b", MS))),
        record(201, "b", t + 2 * MS, 2 * MS, 200),
        record(202, "b", t + 120 * generate.SECOND + 2 * MS, 2 * MS, 200, **FAILED),
        # Its parent is in none of the records; both calls have the same.
        record(300, "c", t, 5 * MS, 299, **FAILED),
        record(301, "c", t + 6 * MS, 5 * MS, 299),
        # Only the callee's host saw it.
        record(400, "d", t, observer="server"),
        # Calls that name each other.
        record(500, "a", t, parent=501),
        record(501, "b", t + MS, parent=500),
        *(record(510 + place, "a", t + place * MS, parent=510 + (place + 1) % 3) for place in range(3)),
        # Hosts of two minds.
        record(600, "a", t, 50 * MS),
        record(601, "a", t + MS, 50 * MS),
        record(602, "a", t + 2 * MS, 9 * MS, 600),
        record(602, "m", t + 3 * MS, 7 * MS, 601),
        # A call that lasts, and one that it causes long after it began.
        record(700, "a", t - 3000 * generate.SECOND, 4000 * generate.SECOND),
        record(701, "b", t + 500 * generate.SECOND, 5 * MS, 700, **FAILED),
        # Without a key of its own.
        record(800, "a", t),
        record(801, "b", t + MS, 5 * MS, 800, call_key=None),
        # Twice.
        record(900, "a", t),
        record(900, "a", t),
        # Both ends behind NAT: other addresses and keys, one span. Then one whose retry has the same span, which is not joined.
        record(1400, "a", t, 40 * MS, observer="client", **SPAN, **FAILED),
        record(1401, "b", t + 5 * MS, 30 * MS, observer="server", conn_key=key(2), **SPAN, **FAILED),
        record(1402, "b", t + 10 * MS, 10 * MS, 1401, **FAILED),
        *(record(1410 + place, "a", t + place * MS, observer="client", **{**SPAN, "span_id": "b7ad6b7169203331"}) for place in range(2)),
        record(1412, "b", t + 3 * MS, observer="server", conn_key=key(2), **{**SPAN, "span_id": "b7ad6b7169203331"}),
        # The same without trace context: one sequence number. An hour later it comes again; then of two clients, which are not joined.
        *(
            record(1500 + place, host, t + when * generate.SECOND + late, took, observer=observer, conn_key=key(2 + place), **NUMBER, **FAILED)
            for when in (0, 3600)
            for place, host, late, took, observer in ((0, "a", 0, 40 * MS, "client"), (1, "b", 5 * MS, 30 * MS, "server"))
        ),
        record(1502, "b", t + 10 * MS, 10 * MS, 1501, **FAILED),
        *(record(1510 + place, host, t + place * MS, observer="client", conn_key=key(4 + place), **{**NUMBER, "request_seq": 9}) for place, host in enumerate("ac")),
        record(1512, "b", t + 3 * MS, 5 * MS, observer="server", conn_key=key(6), **{**NUMBER, "request_seq": 9}),
        # One log id. Then three calls of one chain that look alike, which are not joined.
        record(1600, "a", t, 40 * MS, observer="client", conn_key=key(7), **LOG, **FAILED),
        record(1601, "b", t + 5 * MS, 30 * MS, observer="server", conn_key=key(8), **LOG, **FAILED),
        record(1602, "b", t + 10 * MS, 10 * MS, 1601, **FAILED),
        *(
            record(1610 + place, host, t + place * MS, (9 - place) * MS, observer=observer, conn_key=key(9 + place), **{**LOG, "id": 70_001})
            for place, (host, observer) in enumerate([("a", "client"), ("c", "client"), ("b", "server")])
        ),
        # No rpcscope knows such a class.
        record(999, "a", t, **{"class": "busy"}),
    ]
    # Deeper than a chain, and than pointers that are doubled lead.
    rows += [record(1000 + depth, "e", t + depth * MS, 1000 * MS, 999 + depth if depth else None) for depth in range(300)]
    return rows


def write_by_hand(folder):
    parts = collections.defaultdict(list)
    for row in records_by_hand():
        hour = "dt=2026-11-27/hour=00" if row["start_ns"] >= MIDNIGHT else "dt=2026-11-26/hour=23"
        parts[f"{hour}/host={row['host']}"].append(row)
    for part, rows in parts.items():
        (folder / part).mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows, schema=generate.SCHEMA), folder / part / "by-hand.parquet", compression="zstd")
    # What is not complete is no record.
    (folder / "dt=2026-11-27/hour=00/host=a/.open.parquet").write_bytes(b"PAR1")


# A cluster.


class Process:
    """A program whose lines can be waited for."""

    def __init__(self, name, command, env):
        self.name, self.lines, self.seen = name, queue.Queue(), []
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def wait_for(self, pattern):
        """The first group of the next line that has the pattern."""
        while (line := self.lines.get(timeout=LONGEST)) is not None:
            self.seen.append(line)
            if found := re.search(pattern, line):
                return found[1]
        sys.exit(f"{self.name} ended without saying {pattern}:\n{''.join(self.seen[-30:])}")

    def rest(self):
        while (line := self.lines.get(timeout=LONGEST)) is not None:
            self.seen.append(line)
        return self.process.wait(LONGEST), "".join(self.seen)

    def kill(self):
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Cluster:
    """A master and two workers of one core each."""

    def __init__(self, folder):
        self.folder, self.processes, self.workers = folder, [], []
        self.env = {
            **os.environ,
            "SPARK_HOME": str(SPARK),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(folder / "local"),
            "PYSPARK_PYTHON": sys.executable,
            "PYSPARK_DRIVER_PYTHON": sys.executable,
        }
        master = self.start("master", "master.Master", "--host", "127.0.0.1", "--port", "0", "--webui-port", "0")
        self.url = master.wait_for(r"Starting Spark master at (spark://\S+)")
        master.wait_for(r"(New state: ALIVE)")
        for number in (1, 2):
            self.add_worker(number)

    def start(self, name, kind, *arguments):
        process = Process(name, [SPARK / "bin/spark-class", f"org.apache.spark.deploy.{kind}", *arguments], self.env)
        self.processes.append(process)
        return process

    def add_worker(self, number):
        arguments = ["--cores", "1", "--memory", "1g", "--webui-port", "0", "--work-dir", str(self.folder / f"worker-{number}")]
        worker = self.start(f"worker {number}", "worker.Worker", *arguments, self.url)
        worker.wait_for(r"(Successfully registered with master)")
        self.workers.append(worker)

    def submit(self, calls, out, rpcscope, *arguments, **conf):
        settings = {
            "spark.ui.enabled": "false",
            "spark.driver.memory": "1g",
            "spark.executor.memory": "700m",
            "spark.sql.shuffle.partitions": "4",
            "spark.shuffle.io.retryWait": "1s",
            **conf,
        }
        options = [word for name, value in settings.items() for word in ("--conf", f"{name}={value}")]
        job = [HERE / "chains.py", "--in", calls, "--out", out, "--rpcscope", rpcscope, "--records-per-task", "4000", *arguments]
        return Process("the job", [SPARK / "bin/spark-submit", "--master", self.url, *options, *job], self.env)

    def end(self):
        for process in reversed(self.processes):
            process.kill()


def parents(pid):
    """A process and those above it."""
    found = []
    while pid > 1:
        found.append(pid)
        pid = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return found


# What is compared.


def lines_of(out, kind):
    files = glob.glob(f"{out}/judged/type={kind}/*.gz")
    return sorted(line for file in files for line in gzip.open(file, "rt").read().splitlines())


def compare(what, found, expected):
    if found != expected:
        more, less = collections.Counter(found), collections.Counter(expected)
        for sign, lines in (("+", more - less), ("-", less - more)):
            for line in list(lines)[:3]:
                print(sign, line[:600])
        sys.exit(f"{what}: {len(found)} by the job, {len(expected)} by rpcscope")
    print(f"same: {len(found):,} {what}", flush=True)


def turns(lines):
    """Operations, classes, codes and numbers of the kinds of turns."""
    ending = lambda turn, side: tuple((turn.get(side) or {}).get(key) for key in ("operation", "class", "code"))
    found = [(ending(turn, "from"), ending(turn, "to"), turn["findings"], turn["count"]) for turn in map(json.loads, lines)]
    return sorted((repr(from_), repr(to), sorted(findings), count) for from_, to, findings, count in found)


def expected_of(rpcscope, calls, *arguments):
    output = subprocess.run([rpcscope, "chains", calls, "--format", "jsonl", *arguments], capture_output=True, text=True)
    assert output.returncode == 1 and "'busy' is not known" in output.stderr, output.stderr
    return sorted(output.stdout.splitlines())


def check(out, chains, summary):
    """That the results are those of rpcscope."""
    compare("chains", lines_of(out, "chain"), chains)
    parts = [line for file in glob.glob(f"{out}/turns/*.json") for line in open(file).read().splitlines()]
    compare("kinds of turns", turns(parts), turns(summary))
    pairs = pq.read_table(f"{out}/pairs").to_pylist()
    calls = [call for chain in map(json.loads, chains) for call in chain["calls"]]
    counted = collections.Counter(call["class"] for call in calls)
    for kind, column in [("business", "business"), ("rpc", "rpc_errors"), ("transport", "transport"), ("unanswered", "unanswered")]:
        assert sum(pair[column] for pair in pairs) == counted[kind], kind
    assert sum(pair["calls"] for pair in pairs) == len(calls)
    assert not os.path.exists(f"{out}/_work")


def totals_of(said):
    return json.loads(re.search(r'^\{"type": "totals".*$', said, re.MULTILINE)[0])


def test(rpcscope, folder):
    calls = folder / "calls"
    record_captures(rpcscope, calls)
    generate.generate(str(calls), 20_000, 60)
    write_by_hand(calls)
    chains = expected_of(rpcscope, calls)
    for finding, count in (("joined-by-trace", 1), ("joined-by-sequence", 2), ("joined-by-log-id", 1)):
        assert sum(chain.count(f'"{finding}"') > 0 for chain in chains) == count, finding
    summary = [line for line in expected_of(rpcscope, calls, "--summary") if '"type":"turn"' in line]
    cluster = Cluster(folder)
    try:
        print("two workers", flush=True)
        out = folder / "whole"
        status, said = cluster.submit(calls, out, rpcscope).rest()
        # As rpcscope does: what can't be read is left out, counted, and an error at the end.
        assert status == 1 and "1 records can't be read" in said, said[-4000:]
        check(out, chains, summary)
        totals = totals_of(said)
        assert totals["rejected"] == 1 and totals["judges"] > 2, totals
        assert totals["circles"] == 2 and totals["deep"] > 3 and totals["repeated"] > 0 and totals["parent_missing"] >= 2, totals
        steps = {step["step"]: step for step in map(json.loads, re.findall(r'^\{"step".*$', said, re.MULTILINE))}
        assert steps["keys that come again"]["keys"] >= 1 and steps["roots"]["is_united"], steps

        print("one worker is killed while it judges", flush=True)
        began, gate, wrapper = folder / "began", folder / "gate", folder / "wrapper"
        os.mkfifo(began)
        # Kept open for writing, so that reading waits for the judge.
        told = os.fdopen(os.open(began, os.O_RDWR), "r")
        # The first judge says its number, reads its records and waits for its end.
        wrapper.write_text(
            f"#!/bin/sh\nif mkdir {gate} 2>/dev/null; then echo $$ > {began}; cat > /dev/null; mkfifo {gate}/never; read never < {gate}/never; fi\n"
            f'exec {rpcscope} "$@"\n'
        )
        wrapper.chmod(0o755)
        out = folder / "killed"
        job = cluster.submit(calls, out, wrapper)

        def end():
            job.process.wait()
            began.write_text("0\n")

        threading.Thread(target=end, daemon=True).start()
        judge = int(told.readline())
        assert judge, f"the job ended before it judged:\n{job.rest()[1][-4000:]}"
        above = parents(judge)
        worker = next(worker for worker in cluster.workers if worker.process.pid in above)
        executor = above[above.index(worker.process.pid) - 1]
        os.kill(worker.process.pid, signal.SIGKILL)
        os.kill(executor, signal.SIGKILL)
        os.kill(judge, signal.SIGKILL)
        status, said = job.rest()
        assert status == 1 and "1 records can't be read" in said, said[-4000:]
        assert "Lost executor" in said, said[-4000:]
        check(out, chains, summary)

        print("only chains that failed", flush=True)
        cluster.add_worker(3)
        out = folder / "failed"
        options = ["--failed", "--since", "2026-11-26T23:00:00Z", "--until", "2026-11-27T00:00:00Z"]
        status, said = cluster.submit(calls, out, rpcscope, *options).rest()
        assert status == 0, said[-4000:]
        failed = expected_of(rpcscope, calls, "-Y", "class in (business, rpc, transport, unanswered)")
        # Whose first record is of that hour; which that is depends on clocks, so that chains near its borders may be either.
        hour = lambda chain: json.loads(chain)["root"]["start"][:16]
        inner = [chain for chain in failed if "2026-11-26T23:01" <= hour(chain) < "2026-11-26T23:59"]
        found = lines_of(out, "chain")
        assert set(found) <= set(failed) and len(found) < len(inner) + 40, (len(found), len(inner))
        compare("failed chains of an hour", [chain for chain in found if chain in set(inner)], inner)

        print("a judge that fails", flush=True)
        wrapper.write_text("#!/bin/sh\ncat > /dev/null; echo 'the moon is full' >&2; exit 9\n")
        few = calls / "dt=2026-11-22"
        status, said = cluster.submit(few, folder / "none", wrapper, **{"spark.task.maxFailures": "1"}).rest()
        assert status != 0 and "rpcscope judge ended with status 9:" in said and "the moon is full" in said, said[-4000:]
        print("same: its words", flush=True)
    finally:
        cluster.end()


def main():
    rpcscope = os.path.abspath(sys.argv[1])
    # The cluster ends with this, however this ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("interrupted"))
    with tempfile.TemporaryDirectory(prefix="rpcscope-fleet-") as folder:
        test(rpcscope, pathlib.Path(folder))


if __name__ == "__main__":
    main()
