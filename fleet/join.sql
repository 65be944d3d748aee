-- Joins over the records of many hosts (rpcscope calls --link --format parquet), for DuckDB. docs/fleet.md says how to run it.
--
--   set variable calls = 'calls/**/*.parquet';
--
--   observed   every record, with its place on the way from the caller to the callee
--   joined     every call once: as its caller's host saw it, with what the callee's host adds
--   lost       answers that the callee sent and its caller never got
--   turns      what a service made of the error of a call that it made, by service and method
--   pairs      who calls whom: calls, classes, latency, time in the network
--
-- Names of columns are keys of the record (docs/records.md). start and end are words of SQL: times are taken from start_ns.

create or replace temp view calls as
select *, start as started
-- host is in the files; the folder of the same name would take its place.
from read_parquet(getvariable('calls'), union_by_name = true, hive_partitioning = false);

-- Keys come again after a while: observations of one call begin within 60 seconds.
create or replace temp view observed as
with spaced as (
    select *,
        coalesce(start_ns - lag(start_ns) over same_key > 60000000000, false) as is_again
    from calls
    where call_key is not null
    window same_key as (partition by call_key order by start_ns)
), numbered as (
    select *, sum(is_again::int) over (partition by call_key order by start_ns) as round
    from spaced
)
select *,
    -- From the caller on: as the host says, else as the host that names a parent, else who got no answer, else who waited longest.
    row_number() over (
        partition by call_key, round
        order by
            case when observer = 'client' then 0 when observer = 'server' then 2 when parent_key is not null then 0 else 1 end,
            coalesce(class in ('transport', 'unanswered'), false) desc,
            latency_ns desc nulls last,
            host, uid
    ) as place,
    count(*) over (partition by call_key, round) as hosts,
    not list_has_any(findings, ['gap', 'mid-stream', 'truncated', 'shed']) as is_whole,
    -- What is known of the end: an answer that was read, one that was not, a broken connection, silence.
    case when class is null then 2 when class = 'transport' then 1 when class = 'unanswered' then 0 else 3 end as known
from numbered;

create or replace temp view joined as
select
    caller_side.* exclude (class, carrier, code, code_name, message, network_ns, arrival, arrival_ns, work_ns, place, known, seen),
    -- A connection that broke at the caller is what the caller saw, whatever was sent. Else the side that knows more has the say.
    is_caller, caller_side.hosts as seen,
    if(is_caller, caller_side.class, callee_side.class) as class,
    if(is_caller, caller_side.carrier, callee_side.carrier) as carrier,
    if(is_caller, caller_side.code, callee_side.code) as code,
    if(is_caller, caller_side.code_name, callee_side.code_name) as code_name,
    if(is_caller, caller_side.message, callee_side.message) as message,
    callee_side.host as callee_host,
    callee_side.latency_ns as work_ns,
    in_network as network_ns,
    -- By how much the clock of the callee's host is ahead.
    callee_side.start_ns - caller_side.start_ns - in_network // 2 as ahead_ns,
    caller_side.class = 'transport' and caller_side.is_whole and callee_side.known > 1 as is_answer_lost
from (select * from observed where place = 1) as caller_side
left join (select * from observed where place = hosts and hosts > 1) as callee_side using (call_key, round),
lateral (
    select callee_side.host is null and callee_side.uid is null
        or (caller_side.class = 'transport' and caller_side.is_whole)
        or caller_side.known >= callee_side.known as is_caller,
        case when caller_side.latency_ns >= callee_side.latency_ns then caller_side.latency_ns - callee_side.latency_ns
            when caller_side.latency_ns < callee_side.latency_ns then 0 end as in_network
);

create or replace temp view lost as
select started, client, server, service, method, host, callee_host, message, call_key
from joined
where is_answer_lost
order by started;

-- Which of several failed calls explains an answer is for rpcscope judge to say: here each counts.
create or replace temp view turns as
select
    below.service as callee, below.method as callee_method, below.class as callee_class, below.code as callee_code,
    above.service, above.method, above.class, above.code,
    case
        when above.class = 'ok' then 'swallowed'
        when below.class = 'business' and above.class = 'rpc' then 'business-became-rpc'
        when below.class = 'rpc' and above.class = 'business' then 'rpc-became-business'
        when below.class in ('transport', 'unanswered') then 'cause-below'
        when above.code is distinct from below.code then 'code-changed'
        when above.message is distinct from below.message then 'message-changed'
        else 'passed-on'
    end as turn,
    count(*) as calls,
    min(above.call_key) as example
from joined as below
join joined as above
    on below.parent_key = above.call_key
    and below.start_ns between above.start_ns - 60000000000 and above.start_ns + coalesce(above.duration_ns, 0) + 60000000000
where below.class in ('business', 'rpc', 'transport', 'unanswered') and above.class is distinct from 'oneway'
group by all
order by calls desc, callee, service;

create or replace temp view pairs as
select
    coalesce(caller, regexp_replace(client, ':[0-9]+$', '')) as caller,
    coalesce(callee, service, server) as callee,
    count(*) as calls,
    count(*) filter (class = 'business') as business,
    count(*) filter (class = 'rpc') as rpc_errors,
    count(*) filter (class = 'transport') as transport,
    count(*) filter (class = 'unanswered') as unanswered,
    count(*) filter (is_answer_lost) as answers_lost,
    round(quantile_cont(latency_ns, 0.5) / 1e6, 3) as p50_ms,
    round(quantile_cont(latency_ns, 0.99) / 1e6, 3) as p99_ms,
    round(quantile_cont(network_ns, 0.5) / 1e6, 3) as network_p50_ms
from joined
group by all
order by calls desc, caller, callee;
