#!/usr/bin/env python3
"""Chains over the Parquet files of many hosts, on Spark (docs/fleet.md).

    spark-submit --files target/release/rpcscope fleet/chains.py --in calls --out chains

1. Observations of one call have the same call_key, and parent_key leads to the call that caused it. Both are followed up to
   a name that all records of a tree share: pointers are doubled, so that a tree of depth d takes log2(d) rounds.
2. All records of a tree go to one partition.
3. Each partition is piped through `rpcscope judge`, which alone knows how observations are joined, where errors begin and
   what each hop makes of them. So the chains are those of `rpcscope chains calls`.

Trees may share a partition, so that the first step only has to find too much rather than too little: names are hashes of 64
bits, and whatever may belong together does.
"""

import argparse
import datetime
import json
import sys
import time

from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as F

# Observations of a call, and a call and what it causes, begin this close to each other or to the other's end
# (APART in src/chains/fleet/observations.rs), nanoseconds.
APART = 60_000_000_000

# Rounds of doubled pointers: 2^7 hops, beyond the depth at which a chain ends. What is deeper, or a circle, goes to the driver.
MAX_ROUNDS = 7

# Most links that the driver takes.
MAX_REST = 1_000_000

# Rows and bytes that go back from a judge at a time.
BATCH_ROWS, BATCH_BYTES = 2_000, 4 << 20

# Last lines of a judge that failed.
MAX_WORDS = 20

FAILED = ["business", "rpc", "transport", "unanswered"]

# Microseconds of what other columns have in nanoseconds.
NOT_JUDGED = ["start", "end", "arrival"]

NEEDED = {
    "uid": "string",
    "host": "string",
    "call_key": "string",
    "parent_key": "string",
    "conn_key": "string",
    "start_ns": "long",
    "end_ns": "long",
    "duration_ns": "long",
    "class": "string",
    "trace_id": "string",
    "span_id": "string",
    "request_seq": "long",
    "request_bytes": "long",
    "id": "long",
    "service": "string",
    "method": "string",
    "log_id": "string",
    "request_messages": "long",
    "rpc": "string",
    "caller": "string",
    "callee": "string",
}

# What two records of one call have alike that are joined by their log id (by_log in src/chains/fleet/aliases.rs).
LOGGED = ["log_id", "id", "request_bytes", "request_messages", "rpc", "service", "method", "caller", "callee"]


def arguments():
    parser = argparse.ArgumentParser(description="Chains over the Parquet files of many hosts.")
    add = parser.add_argument
    add("--in", dest="inputs", nargs="+", required=True, metavar="PATH", help="folders or patterns of files of calls --link --format parquet")
    add("--out", required=True, metavar="DIR", help="a folder that does not exist yet")
    add("--rpcscope", metavar="PATH", help="the program on the workers; by default the one of --files, else the one on their PATH")
    add("--failed", action="store_true", help="only chains with a failed call: much less is shuffled")
    add("--records-per-task", type=int, default=100_000, metavar="N", help="records that one judge holds, about 1.5 KB each (default 100,000)")
    add("--memory", default="512MiB", metavar="SIZE", help="most memory of one judge, beside the executor's (default 512MiB)")
    add("--since", type=nanoseconds, metavar="TIME", help="only trees that began then or later: 2026-01-02T15:00:00Z")
    add("--until", type=nanoseconds, metavar="TIME", help="only trees that began before; read more on both sides, so that they are whole")
    return parser.parse_args()


class Steps:
    """Says what each step took, and names it in Spark's event log."""

    def __init__(self, spark):
        self.context, self.name, self.begun = spark.sparkContext, None, 0.0

    def __call__(self, name):
        self.end()
        self.name, self.begun = name, time.monotonic()
        self.context.setJobDescription(name)

    def end(self, **facts):
        if self.name:
            seconds = round(time.monotonic() - self.begun, 1)
            print(json.dumps({"step": self.name, "seconds": seconds, **facts}), flush=True)
        self.name = None


def read(spark, paths):
    """The records. Folders are no columns: host is in the files."""
    options = {"recursiveFileLookup": True, "pathGlobFilter": "*.parquet", "mergeSchema": True}
    calls = spark.read.options(**options).parquet(*paths)
    for name, kind in NEEDED.items():
        if name not in calls.columns:
            if name in ("uid", "start_ns", "conn_key"):
                sys.exit(f"no column {name}: these are no files of rpcscope calls --link --format parquet")
            calls = calls.withColumn(name, F.lit(None).cast(kind))
    return calls


# Names of trees: a node stands for all records of one key that are close in time.


def own(column="call_key"):
    """The hash of a record's key, or of what tells it from others."""
    without = F.xxhash64("host", "uid", "start_ns", "conn_key")
    return F.when(F.col(column).isNotNull(), F.xxhash64(column)).otherwise(without)


def ended():
    return F.greatest("start_ns", F.coalesce("end_ns", F.col("start_ns") + F.coalesce("duration_ns", F.lit(0))))


def find_again(folder, calls):
    """Keys that come again at another time, with a node for each of their times; None if there are none. Sequence numbers wrap."""
    seen = calls.select(own().alias("key"), F.col("start_ns").alias("low"), ended().alias("high"))
    # The record that names the parent may be another host's than the one whose start counts.
    named = calls.where("parent_key is not null").select(
        F.xxhash64("parent_key").alias("key"),
        (F.col("start_ns") - APART).alias("low"),
        (F.col("start_ns") + APART).alias("high"),
    )
    spans = seen.unionByName(named)
    ranges = spans.groupBy("key").agg(F.max("low").alias("last"), F.min("high").alias("first"))
    # Few or none: known first, so that not all spans are moved once more.
    suspects = folder.keep("suspects", ranges.where(F.col("last") > F.col("first") + APART).select("key"))
    if suspects.isEmpty():
        return None
    by_time = Window.partitionBy("key").orderBy("low", "high")
    before = F.max("high").over(by_time.rowsBetween(Window.unboundedPreceding, -1))
    times = (
        spans.join(suspects, "key", "left_semi")
        .withColumn("is_new", (F.col("low") > before + APART).cast("long"))
        .withColumn("time", F.sum(F.coalesce("is_new", F.lit(0))).over(by_time))
        .groupBy("key", "time")
        .agg(F.min("low").alias("low"), F.max("high").alias("high"))
    )
    again = folder.keep("again", times.where("time > 0").select("key", "low", "high", F.xxhash64("key", "time").alias("again")))
    return None if again.isEmpty() else again


def nodes(calls, again, key, name):
    """Adds the node of a key at the time of the record."""
    if again is None:
        return calls.withColumn(name, key)
    calls = calls.withColumn(name, key)
    fits = (F.col(name) == again["key"]) & F.col("start_ns").between(again["low"], again["high"])
    with_time = calls.join(again, fits, "left")
    return with_time.withColumn(name, F.coalesce("again", name)).drop("key", "low", "high", "again")


def find_links(folder, calls, again, logged):
    """From each node to that of its parent."""
    linked = calls.where("parent_key is not null").select("host", "uid", "conn_key", "call_key", "parent_key", "start_ns")
    linked = nodes(nodes(linked, again, own(), "child"), again, F.xxhash64("parent_key"), "parent")
    linked = linked.select("child", "parent").unionByName(find_same(calls, again))
    numbered = find_numbered(folder, calls, again)
    linked = linked if numbered is None else linked.unionByName(numbered)
    if logged is not None:
        pairs = calls.join(logged.where("may_be_one"), ["host", "uid", "start_ns", "conn_key"])
        linked = linked.unionByName(bound(nodes(pairs, again, own(), "child"), "shape", "time"))
    return linked.where("child <> parent")


def find_same(calls, again):
    """Links between the nodes of one span: behind NAT its two ends have different keys, and judge has to see both. They lead to the
    node that has a parent, so that none gets two."""
    traced = calls.where("trace_id is not null and span_id is not null")
    traced = traced.select("host", "uid", "conn_key", "call_key", "parent_key", "start_ns", "trace_id", "span_id")
    return bound(nodes(traced, again, own(), "child"), "trace_id", "span_id")


def find_numbered(folder, calls, again):
    """The same for NAT without trace context: calls near in time with one sequence number and shape. None if there are none."""
    calls = calls.where("request_seq is not null and host is not null and method is not null")
    calls = calls.withColumn("shape", F.xxhash64("request_seq", "id", "request_bytes", "service", "method"))
    # Nearly always it is the other end's record of the same key.
    keys = calls.groupBy("shape").agg(F.min(own()).alias("low"), F.max(own()).alias("high"))
    suspects = folder.keep("shapes", keys.where("low <> high").select("shape"))
    if suspects.isEmpty():
        return None
    by_time = Window.partitionBy("shape").orderBy("start_ns")
    calls = calls.select("shape", "host", "uid", "conn_key", "call_key", "parent_key", "start_ns").join(suspects, "shape", "left_semi")
    calls = calls.withColumn("is_new", (F.col("start_ns") > F.lag("start_ns").over(by_time) + APART).cast("long"))
    calls = calls.withColumn("time", F.sum(F.coalesce("is_new", F.lit(0))).over(by_time))
    return bound(nodes(calls, again, own(), "child"), "shape", "time")


def find_logged(folder, calls):
    """Records near in time with one log id and shape that are of several keys, and whether they may be the ends of one call, which judge has
    to see both; None if there are none. Of more keys nothing is joined, which judge is told, because it may get a part of them."""
    calls = calls.where("log_id is not null and host is not null and method is not null")
    # Hashes skip what is null.
    shape = F.xxhash64(*(F.coalesce(F.col(name).cast("string"), F.lit("\0")) for name in LOGGED))
    calls = calls.select("host", "uid", "start_ns", "conn_key", "parent_key", own().alias("key"), shape.alias("shape"))
    # Nearly always it is the other end's record of the same key.
    keys = calls.groupBy("shape").agg(F.min("key").alias("low"), F.max("key").alias("high"))
    suspects = folder.keep("logged-shapes", keys.where("low <> high").select("shape"))
    if suspects.isEmpty():
        return None
    by_time = Window.partitionBy("shape").orderBy("start_ns")
    calls = calls.join(suspects, "shape", "left_semi")
    calls = calls.withColumn("is_new", (F.col("start_ns") > F.lag("start_ns").over(by_time) + APART).cast("long"))
    calls = calls.withColumn("time", F.sum(F.coalesce("is_new", F.lit(0))).over(by_time))
    counts = F.countDistinct("key").alias("keys"), F.countDistinct(F.when(F.col("parent_key").isNotNull(), F.col("key"))).alias("linked")
    # Both of two calls that name a parent were made.
    groups = calls.groupBy("shape", "time").agg(*counts).where("keys > 1").withColumn("may_be_one", F.expr("keys = 2 and linked < 2"))
    calls = calls.join(groups, ["shape", "time"]).drop("key", "is_new", "parent_key", "keys", "linked")
    return folder.keep("logged", calls.distinct())


def bound(calls, *group):
    """Links between the nodes of each group."""
    ends = calls.groupBy(*group, "child").agg(F.max(F.col("parent_key").isNotNull()).alias("is_linked"))
    groups = ends.groupBy(*group).agg(
        F.collect_list("child").alias("ends"), F.max(F.struct("is_linked", "child"))["child"].alias("parent")
    )
    return groups.where("size(ends) > 1").select(F.explode("ends").alias("child"), "parent")


class Folder:
    """Results of steps, so that a lost worker costs its own tasks only."""

    def __init__(self, spark, path):
        self.spark, self.path = spark, path

    def keep(self, name, frame, *parts):
        path = f"{self.path}/{name}"
        frame.write.partitionBy(*parts).parquet(path)
        return self.spark.read.schema(frame.schema).parquet(path)


def follow(folder, links):
    """The root of each node, as far as MAX_ROUNDS lead, and the links of those whose root was not found."""
    first = links.groupBy("child").agg(F.min("parent").alias("parent"), F.max("parent").alias("other"))
    first = folder.keep("links", first)
    pointers = open_ = first.select("child", "parent")
    settled = None
    for round_ in range(MAX_ROUNDS):
        above = pointers.select(F.col("child").alias("at"), F.col("parent").alias("above"))
        if settled is not None:
            roots = settled.select(F.col("child").alias("at"), F.col("parent").alias("above"))
            above = above.withColumn("is_root", F.lit(False)).unionByName(roots.withColumn("is_root", F.lit(True)))
        else:
            above = above.withColumn("is_root", F.lit(False))
        jumped = open_.join(above, open_["parent"] == above["at"], "left").select(
            "child",
            F.coalesce("above", "parent").alias("parent"),
            F.coalesce("is_root", F.lit(True)).alias("is_settled"),
        )
        jumped = folder.keep(f"round-{round_}", jumped, "is_settled")
        done = jumped.where("is_settled").select("child", "parent")
        settled = done if settled is None else settled.unionByName(done)
        pointers = open_ = jumped.where("not is_settled").select("child", "parent")
        if open_.isEmpty():
            return first, settled, None
    return first, settled, open_


def rest(spark, first, links, settled, open_):
    """What doubled pointers don't settle: circles, deeper chains, calls of whose parents hosts are of two minds. They are few, and
    are united by the driver. The result leads from names of trees to the one that they share."""
    forked = first.where("parent <> other").select("child")
    edges = links.join(forked, "child", "left_semi")
    if open_ is not None:
        edges = edges.unionByName(first.select("child", "parent").join(open_.select("child"), "child", "left_semi"))
    elif forked.isEmpty():
        return None
    roots = settled.withColumnRenamed("parent", "root")
    for end in ("child", "parent"):
        root = roots.withColumnRenamed("child", end)
        edges = edges.join(root, end, "left").withColumn(end, F.coalesce("root", end)).drop("root")
    edges = edges.distinct().limit(MAX_REST + 1).collect()
    if len(edges) > MAX_REST:
        sys.exit(f"more than {MAX_REST:,} links in circles or too deep: the records are damaged")
    above = {}

    def top(node):
        while node in above:
            above[node] = above.get(above[node], above[node])
            node = above[node]
        return node

    for child, parent in edges:
        low, high = sorted((top(child), top(parent)))
        if low != high:
            above[high] = low
    if not above:
        return None
    united = [(node, top(node)) for node in list(above)]
    return spark.createDataFrame(united, "tree long, united long")


def trees(records, settled, united):
    """Adds the name of the tree to records with a node."""
    roots = settled.select(F.col("child").alias("node"), F.col("parent").alias("root"))
    records = records.join(roots, "node", "left").withColumn("tree", F.coalesce("root", "node")).drop("node", "root")
    if united is not None:
        records = records.join(F.broadcast(united), "tree", "left")
        records = records.withColumn("tree", F.coalesce("united", "tree")).drop("united")
    return records


# Judging.


def judge(program, arguments):
    """A function that pipes the records of a partition through a judge."""

    def find():
        import os

        from pyspark import SparkFiles

        shipped = os.path.join(SparkFiles.getRootDirectory(), "rpcscope")
        return program or (shipped if os.path.exists(shipped) else "rpcscope")

    def run(batches):
        import subprocess
        import tempfile

        import pyarrow as pa

        def lines(batch):
            return "".join(f"{record}\n" for record in batch.column(0).to_pylist()).encode()

        first = next((batch for batch in batches if batch.num_rows), None)
        if first is None:
            return
        with tempfile.TemporaryFile() as said:
            pipe = subprocess.PIPE
            process = subprocess.Popen([find(), "judge", *arguments], stdin=pipe, stdout=pipe, stderr=said)
            try:
                # It writes nothing before it has read all, so that neither waits for the other.
                try:
                    process.stdin.write(lines(first))
                    for batch in batches:
                        process.stdin.write(lines(batch))
                    process.stdin.close()
                except BrokenPipeError:
                    pass
                kinds, texts, size, is_whole = [], [], 0, False
                for line in process.stdout:
                    line = line.decode().rstrip("\n")
                    # {"type":"chain",…
                    kind = line[9 : line.index('"', 9)]
                    is_whole |= kind == "totals"
                    kinds.append(kind)
                    texts.append(line)
                    size += len(line)
                    if len(texts) >= BATCH_ROWS or size >= BATCH_BYTES:
                        yield pa.RecordBatch.from_arrays([pa.array(kinds), pa.array(texts)], ["type", "line"])
                        kinds, texts, size = [], [], 0
                if texts:
                    yield pa.RecordBatch.from_arrays([pa.array(kinds), pa.array(texts)], ["type", "line"])
                status = process.wait()
                # 1: some records can't be read; the totals say how many.
                if status not in (0, 1) or not is_whole:
                    said.seek(0)
                    words = said.read().decode(errors="replace").splitlines()[-MAX_WORDS:]
                    raise RuntimeError("\n".join([f"rpcscope judge ended with status {status}:", *words]))
            finally:
                if process.poll() is None:
                    process.kill()
                process.wait()

    return run


# Sums.

CALL = "struct<client string, server string, client_name string, server_name string, caller string, callee string, service string, class string, latency_ns long, network_ns long, findings array<string>>"


def pairs(chains):
    """Who calls whom, as the view pairs of join.sql, and by the names of --names where the wire has none."""
    call = F.explode(F.from_json("line", f"calls array<{CALL}>")["calls"]).alias("call")
    calls = chains.select(call).select("call.*")
    address = F.regexp_replace("client", ":[0-9]+$", "")

    def count(of):
        return F.count(F.when(of, 1))

    def quantile(column, share):
        return F.round(F.percentile_approx(column, share, 1000) / 1e6, 3)

    return (
        calls.groupBy(
            F.coalesce("caller", "client_name", address).alias("caller"),
            F.coalesce("callee", "service", "server_name", "server").alias("callee"),
        )
        .agg(
            F.count(F.lit(1)).alias("calls"),
            count(F.col("class") == "business").alias("business"),
            count(F.col("class") == "rpc").alias("rpc_errors"),
            count(F.col("class") == "transport").alias("transport"),
            count(F.col("class") == "unanswered").alias("unanswered"),
            count(F.array_contains("findings", "answer-lost")).alias("answers_lost"),
            quantile("latency_ns", 0.5).alias("p50_ms"),
            quantile("latency_ns", 0.99).alias("p99_ms"),
            quantile("network_ns", 0.5).alias("network_p50_ms"),
        )
        .orderBy(F.desc("calls"), "caller", "callee")
    )


def turns(lines):
    """Who turns which error into what: the records of judge --summary, added up."""
    ending = "struct<operation string, class string, code long>"
    turn = F.from_json("line", f"from {ending}, to {ending}, findings array<string>, count long, example string").alias("turn")
    parts = lines.where("type = 'turn'").select(turn).select("turn.*")
    return (
        parts.groupBy("from", "to")
        .agg(
            F.array_sort(F.array_distinct(F.flatten(F.collect_list("findings")))).alias("findings"),
            F.sum("count").alias("count"),
            F.min("example").alias("example"),
        )
        .orderBy(F.desc("count"), "to", "from")
    )


def totals(lines):
    """The sums of what the judges counted, and how unevenly they were loaded."""
    parts = [json.loads(row.line) for row in lines.where("type = 'totals'").collect()]
    keys = [key for key in parts[0] if key != "type"] if parts else []
    sums = {key: sum(part[key] for part in parts) for key in keys}
    records = sorted(part["records"] for part in parts)
    return {**sums, "judges": len(parts), "most_records": records[-1] if records else 0}


def nanoseconds(text):
    """Of a time such as 2026-01-02T15:00:00Z."""
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError("a time has a zone: 2026-01-02T15:00:00Z")
    return int(moment.timestamp()) * 1_000_000_000


def choose(args, records):
    """The trees that are asked for, of records with a tree: those with a failed call, those that began in time."""
    chosen = records.groupBy("tree").agg(F.min("start_ns").alias("began"), F.max(F.col("class").isin(FAILED)).alias("has_failed"))
    if args.failed:
        chosen = chosen.where("has_failed")
    if args.since is not None:
        chosen = chosen.where(F.col("began") >= args.since)
    if args.until is not None:
        chosen = chosen.where(F.col("began") < args.until)
    return chosen.select("tree")


class Output:
    """The folder of the results, which may be in any store that Spark reaches."""

    def __init__(self, spark, path):
        self.path = spark._jvm.org.apache.hadoop.fs.Path(path)
        self.files = self.path.getFileSystem(spark._jsc.hadoopConfiguration())
        if self.files.exists(self.path):
            sys.exit(f"{path} exists already: name a new folder")

    def forget(self, name):
        self.files.delete(self.path.suffix(f"/{name}"), True)


def main():
    args = arguments()
    spark = SparkSession.builder.appName("rpcscope chains").getOrCreate()
    conf = spark.conf
    conf.set("spark.sql.session.timeZone", "UTC")
    # Sums of times that nobody wrote on purpose wrap instead of ending the job.
    conf.set("spark.sql.ansi.enabled", "false")
    conf.set("spark.sql.jsonGenerator.ignoreNullFields", "true")
    # Kinds of lines are written side by side: no sort for it.
    conf.set("spark.sql.maxConcurrentOutputFileWriters", 8)
    conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", 2_000)
    output = Output(spark, args.out)
    steps = Steps(spark)
    folder = Folder(spark, f"{args.out}/_work")

    steps("read")
    calls = read(spark, args.inputs)
    records = calls.count()
    steps.end(records=records)
    if not records:
        sys.exit("no records of calls")

    steps("keys that come again")
    again = find_again(folder, calls)
    steps.end(keys=again.count() if again is not None else 0)

    steps("roots")
    logged = find_logged(folder, calls)
    links = find_links(folder, calls, again, logged)
    first, settled, open_ = follow(folder, links)
    united = rest(spark, first, links, settled, open_)
    steps.end(is_united=united is not None)

    if logged is not None:
        shared = logged.where("not may_be_one").select("host", "uid", "start_ns", "conn_key", F.lit(True).alias("log_id_shared")).distinct()
        calls = calls.join(shared, ["host", "uid", "start_ns", "conn_key"], "left")
    columns = [F.col(f"`{name}`") for name in calls.columns if name not in NOT_JUDGED]
    with_nodes = nodes(calls, again, own(), "node")
    whole = trees(with_nodes.select("node", F.to_json(F.struct(*columns)).alias("record")), settled, united)
    options = ["--format", "jsonl", "--totals", "--max-memory", args.memory]
    if args.failed:
        options += ["-Y", f"class in ({', '.join(FAILED)})"]
    is_part = args.failed or args.since is not None or args.until is not None
    if is_part:
        steps("trees that are asked for")
        chosen = choose(args, trees(with_nodes.select("node", "start_ns", "class"), settled, united))
        whole = whole.join(folder.keep("chosen", chosen), "tree", "left_semi")

    steps("judge")
    tasks = max(2, -(-records // args.records_per_task))
    judged = whole.repartition(tasks, "tree").select("record").mapInArrow(judge(args.rpcscope, options), "type string, line string")
    judged.write.partitionBy("type").option("compression", "gzip").text(f"{args.out}/judged")
    lines = spark.read.text(f"{args.out}/judged").withColumnRenamed("value", "line")
    steps.end()

    steps("sums")
    counted = totals(lines)
    pairs(lines.where("type = 'chain'")).coalesce(1).write.parquet(f"{args.out}/pairs")
    turns(lines).coalesce(1).write.json(f"{args.out}/turns")
    steps.end()
    output.forget("_work")
    print(json.dumps({"type": "totals", "read": records, **counted}))
    if counted["left_out"]:
        sys.exit(f"{counted['left_out']:,} calls were left out for lack of memory: more --memory, or fewer --records-per-task")
    if not is_part and counted["records"] + counted["rejected"] != records:
        sys.exit(f"{records:,} records were read, but {counted['records']:,} judged")
    if counted["rejected"]:
        sys.exit(f"{counted['rejected']:,} records can't be read and were left out")


if __name__ == "__main__":
    main()
