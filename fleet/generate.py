#!/usr/bin/env python3
"""Makes records of a fleet that does not exist, as rpcscope calls --link --format parquet writes them: for tests and for measuring.

    fleet/generate.py --out calls --records 2000000 --hosts 1000

Trees have one to four hops. Few services get most of the calls, both ends of nearly all calls are seen, each host has a clock
of its own, errors travel up and change on their way.
"""

import argparse
import os

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
BEGIN = 1_795_730_400 * SECOND  # 2026-11-26T22:00:00Z: the third hour is of the next day.

# Parents of the calls of a tree, and how common such trees are.
SHAPES = [
    ([-1], 25),
    ([-1, 0], 20),
    ([-1, 0, 0], 15),
    ([-1, 0, 1], 15),
    ([-1, 0, 1, 1], 10),
    ([-1, 0, 1, 2], 10),
    ([-1, 0, 0, 1, 1, 2, 3], 5),
]
SERVICES = 120
CONNECTIONS = 4
MESSAGES = ["no stock", "card refused", "quota of the tenant is used up", "shard moved", "no such user", "limit of 20 items"]
LOST_VIEWS = 0.02
FAILING = 0.02

# The columns of version 1 (docs/records.md), in the order of the files.
NAMES = """
uid start start_ns latency_ns duration_ns end end_ns network_ns arrival arrival_ns work_ns seen client server via transport network rpc
codec service method unknown_name caller callee id kind class carrier code code_name message initiator goaway likely ret func_ret
reported_as biz_extra details request_bytes response_bytes request_messages response_messages timeout_ns trace_id span_id log_id field_id
canceled_by cancel_path parent parent_evidence findings process metadata request response request_unknown response_unknown exception
error packets call_key parent_key parent_confidence missed conn_key request_seq host observer
""".split()
TIMES = {"start", "end", "arrival"}
NUMBERS = set("seen id code ret func_ret request_bytes response_bytes request_messages response_messages field_id request_seq".split())
LISTS = {"via", "cancel_path", "findings"}
MAPS = {"goaway", "likely", "biz_extra", "details", "metadata"}


def kind_of(name):
    if name in TIMES:
        return pa.timestamp("us", "UTC")
    if name.endswith("_ns") or name in NUMBERS:
        return pa.int64()
    if name in LISTS:
        return pa.list_(pa.string())
    if name in MAPS:
        return pa.map_(pa.string(), pa.string())
    return {"packets": pa.list_(pa.int64()), "parent_confidence": pa.float64(), "missed": pa.float64()}.get(name, pa.string())


FIELDS = [(name, kind_of(name)) for name in NAMES]
SCHEMA = pa.schema(FIELDS, metadata={"rpcscope.schema": "1"})


def hexadecimal(octets):
    """Rows of 16 octets as text."""
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    text = np.empty((len(octets), 32), np.uint8)
    text[:, 0::2], text[:, 1::2] = digits[octets >> 4], digits[octets & 15]
    offsets = np.arange(len(octets) + 1, dtype=np.int32) * 32
    return pa.StringArray.from_buffers(len(octets), pa.py_buffer(offsets), pa.py_buffer(text))


def mixed(numbers):
    """Octets that follow from a number."""
    parts = []
    for salt in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F):
        x = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(salt)
        x ^= x >> np.uint64(29)
        x *= np.uint64(0xBF58476D1CE4E5B9)
        x ^= x >> np.uint64(32)
        parts.append(x.astype(">u8").view(np.uint8).reshape(-1, 8))
    return np.hstack(parts)


class Fleet:
    """Which host runs which service."""

    def __init__(self, hosts, random):
        self.count, self.services = hosts, max(2, min(SERVICES, hosts // 2))
        weights = 1 / np.arange(1, self.services + 1)
        self.weights = weights / weights.sum()
        # Each service has one host at least; the busy ones have more.
        more = random.choice(self.services, hosts - self.services, p=self.weights)
        self.service_of = np.sort(np.concatenate([np.arange(self.services), more]))
        self.first = np.searchsorted(self.service_of, np.arange(self.services))
        self.size = np.bincount(self.service_of, minlength=self.services)
        self.clock = (random.normal(0, 0.004, hosts) * SECOND).astype(np.int64)
        self.clock[random.random(hosts) < 0.01] += 3 * SECOND
        self.names = np.array([f"host-{host:04}" for host in range(hosts)])
        self.addresses = np.array([f"10.{host >> 16 & 255}.{host >> 8 & 255}.{host & 255}" for host in range(hosts)])
        self.service_names = np.array([f"shop.service{service:03}" for service in range(self.services)])

    def hosts_of(self, services, random):
        return self.first[services] + (random.random(len(services)) * self.size[services]).astype(np.int64)


def calls_of(fleet, trees, shape, begin, random):
    """The calls of so many trees of a shape, as columns: one row a call."""
    hops = []
    for parent in shape:
        service = random.choice(fleet.services, trees, p=fleet.weights)
        # No service calls itself, so that both ends of a call are on two hosts.
        own = 0 if parent < 0 else hops[parent]["service"]
        service = np.where(service == own, (service + 1) % fleet.services, service)
        server = fleet.hosts_of(service, random)
        way = (random.gamma(2, 60_000, trees)).astype(np.int64) + 20_000
        if parent < 0:
            client = fleet.hosts_of(np.zeros(trees, np.int64), random)
            start = begin + (random.random(trees) * HOUR).astype(np.int64)
            work = (random.lognormal(1.6, 0.9, trees) * 1e6).astype(np.int64) + 400_000
        else:
            above = hops[parent]
            client, siblings = above["server"], shape.count(parent)
            place = shape[: len(hops)].count(parent)
            share = above["work"] // (siblings + 1)
            start = above["start"] + above["way"] + share * place + 30_000
            work = np.maximum(share - 2 * way - 60_000, 20_000)
        hop = {"parent": parent, "service": service, "client": client, "server": server, "start": start, "way": way, "work": work}
        hop["key"] = random.integers(0, 256, (trees, 16), dtype=np.uint8)
        hops.append(hop)
    # Errors: from the lowest calls up.
    for place in range(len(shape) - 1, -1, -1):
        hop = hops[place]
        fails = random.random(trees) < FAILING / (1 + 3 * (place == 0))
        hop["kind"] = np.where(fails, np.where(random.random(trees) < 0.7, 1, 2), 0)
        hop["code"] = np.where(fails, 4000 + random.integers(0, 40, trees), 0)
        hop["text"] = random.integers(0, len(MESSAGES), trees)
        for below in (hops[at] for at, parent in enumerate(shape) if parent == place):
            travels = (below["kind"] > 0) & (random.random(trees) < 0.9)
            turns = random.random(trees) < 0.2
            hop["kind"] = np.where(travels, np.where(turns, 3 - below["kind"], below["kind"]), hop["kind"])
            hop["code"] = np.where(travels, below["code"], hop["code"])
            hop["text"] = np.where(travels, below["text"], hop["text"])
    for hop in hops:
        hop["parent_key"] = hops[hop["parent"]]["key"] if hop["parent"] >= 0 else np.zeros((trees, 16), np.uint8)
        hop["has_parent"] = np.full(trees, hop["parent"] >= 0)
        del hop["parent"]
    return hops


def joined(parts):
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def table(fleet, calls, side, first_uid):
    """The records of one end of calls."""
    n = len(calls["start"])
    host = calls[side]
    is_client = side == "client"
    start = calls["start"] + (0 if is_client else calls["way"]) + fleet.clock[host]
    latency = calls["work"] + (2 * calls["way"] if is_client else 0)
    connection = (calls["client"] * fleet.count + calls["server"]) * CONNECTIONS + calls["start"] % CONNECTIONS
    port = 30_000 + connection % 30_000
    join = pc.binary_join_element_wise
    text = lambda numbers: pa.array(numbers).cast(pa.string())
    of = lambda value, kind=pa.string(): pa.repeat(pa.scalar(value, kind), n)
    kind = calls["kind"]
    failed, is_rpc = kind > 0, kind == 2
    message = pa.array(np.array(MESSAGES))
    message = pa.DictionaryArray.from_arrays(pa.array(np.where(failed, calls["text"], 0), mask=~failed), message).cast(pa.string())
    pick = lambda choices: pa.DictionaryArray.from_arrays(pa.array(kind.astype(np.int8)), choices).cast(pa.string())
    packets = np.column_stack([np.arange(n) * 3 + first_uid, np.arange(n) * 3 + first_uid + 2]).ravel()
    names = fleet.service_names
    caller, callee = pa.array(names[fleet.service_of[calls["client"]]]), pa.array(names[calls["service"]])
    has_link = pa.array(calls["has_parent"]) if is_client else pa.array(np.zeros(n, bool))
    absent = pa.scalar(None, pa.string())
    columns = {
        "uid": text(packets[::2]),
        "start": pa.array(start // 1000).cast(pa.timestamp("us", "UTC")),
        "start_ns": pa.array(start),
        "latency_ns": pa.array(latency),
        "duration_ns": pa.array(latency),
        "client": join(pa.array(fleet.addresses[calls["client"]]), text(port), ":"),
        "server": join(pa.array(fleet.addresses[calls["server"]]), of("8888"), ":"),
        "transport": of("ttheader"),
        "network": of("tcp"),
        "rpc": of("thrift"),
        "codec": of("thrift-binary"),
        "service": callee,
        "method": join(of("Method"), text(calls["text"] % 5), ""),
        "caller": caller,
        "callee": callee,
        "id": pa.array(calls["start"] // 1_000 % 1_000_000),
        "kind": of("unary"),
        "class": pick(pa.array(["ok", "business", "rpc"])),
        "carrier": pick(pa.array(["none", "biz-status", "thrift-exception"])),
        "code": pa.array(np.where(is_rpc, 6, calls["code"]), mask=~failed),
        "code_name": pc.if_else(pa.array(is_rpc), pa.scalar("INTERNAL_ERROR"), absent),
        "message": message,
        "request_bytes": pa.array(200 + calls["start"] % 300),
        "response_bytes": pa.array(90 + calls["start"] % 700),
        "request_messages": of(1, pa.int64()),
        "response_messages": of(1, pa.int64()),
        "timeout_ns": of(SECOND, pa.int64()),
        "parent_evidence": pc.if_else(has_link, pa.scalar("names"), absent),
        "findings": pa.ListArray.from_arrays(pa.array(np.zeros(n + 1, np.int32)), pa.array([], pa.string())),
        "packets": pa.ListArray.from_arrays(pa.array(np.arange(n + 1, dtype=np.int32) * 2), pa.array(packets)),
        "call_key": hexadecimal(calls["key"]),
        "parent_key": pc.if_else(has_link, hexadecimal(calls["parent_key"]), absent),
        "parent_confidence": pc.if_else(has_link, pa.scalar(0.99), pa.scalar(None, pa.float64())),
        "conn_key": hexadecimal(mixed(connection)),
        "request_seq": pa.array(np.ascontiguousarray(calls["key"][:, :4]).view(np.uint32).ravel().astype(np.int64)),
        "host": pa.array(fleet.names[host]),
        "observer": of(side),
    }
    arrays = [columns[name] if name in columns else pa.nulls(n, kind) for name, kind in FIELDS]
    return pa.Table.from_arrays(arrays, schema=SCHEMA), start, host


def write(folder, name, rows, starts, hosts, fleet):
    """One file for each host and hour."""
    hours = starts // HOUR
    order = np.lexsort((starts, hosts, hours))
    rows, hours, hosts = rows.take(pa.array(order)), hours[order], hosts[order]
    borders = np.flatnonzero((np.diff(hours) != 0) | (np.diff(hosts) != 0)) + 1
    for low, high in zip([0, *borders], [*borders, len(order)]):
        when = np.datetime64(int(hours[low]) * 3600, "s").astype(str)
        path = f"{folder}/dt={when[:10]}/hour={when[11:13]}/host={fleet.names[hosts[low]]}"
        os.makedirs(path, exist_ok=True)
        pq.write_table(rows.slice(low, high - low), f"{path}/{name}.parquet", compression="zstd", use_dictionary=DICTIONARY)


DICTIONARY = [name for name, _ in FIELDS if name not in ("uid", "start_ns", "call_key", "findings", "packets")]


def generate(folder, records, hosts, hours=4, seed=1):
    """Writes about so many records."""
    random = np.random.default_rng(seed)
    fleet = Fleet(hosts, random)
    shares = np.array([share for _, share in SHAPES]) / sum(share for _, share in SHAPES)
    calls_of_tree = sum(share * len(shape) for share, (shape, _) in zip(shares, SHAPES))
    trees = records / hours / 2 / (1 - LOST_VIEWS / 2) / calls_of_tree
    written = 0
    for hour in range(hours):
        begin = BEGIN + hour * HOUR
        parts = [hop for share, (shape, _) in zip(shares, SHAPES) for hop in calls_of(fleet, max(1, int(trees * share)), shape, begin, random)]
        calls = joined(parts)
        ends = []
        for side in ("client", "server"):
            seen = random.random(len(calls["start"])) >= LOST_VIEWS / 2
            ends.append(table(fleet, {name: column[seen] for name, column in calls.items()}, side, written * 3))
            written += len(ends[-1][0])
        rows, starts, of = zip(*ends)
        # Clocks of hosts and the work of calls lead beyond the hour, so that a folder may have two such files.
        write(folder, f"{hour}", pa.concat_tables(rows), np.concatenate(starts), np.concatenate(of), fleet)
    return written


def main():
    parser = argparse.ArgumentParser(description="Makes records of a fleet that does not exist.")
    parser.add_argument("--out", required=True, metavar="DIR")
    parser.add_argument("--records", type=int, default=200_000, metavar="N")
    parser.add_argument("--hosts", type=int, default=1_000, metavar="N")
    parser.add_argument("--hours", type=int, default=4, metavar="N")
    args = parser.parse_args()
    print(f"{generate(args.out, args.records, args.hosts, args.hours):,} records in {args.out}")


if __name__ == "__main__":
    main()
