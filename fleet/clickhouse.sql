-- Joins over the records of many hosts, as join.sql has them for DuckDB, for ClickHouse. docs/fleet.md says how to run it.
--
-- The records are in a table or view `calls`:
--
--   create view calls as select * from file('calls/**/*.parquet', Parquet)
--       settings use_hive_partitioning = 0, schema_inference_mode = 'union';
--
--   observed   every record, with its place on the way from the caller to the callee
--   joined     every call once: as its caller's host saw it, with what the callee's host adds
--   lost       answers that the callee sent and its caller never got
--   turns      what a service made of the error of a call that it made, by service and method
--   pairs      who calls whom: calls, classes, latency, time in the network
--
-- Names of columns are keys of the record (docs/records.md).

-- Keys come again after a while: observations of one call begin within 60 seconds.
create or replace view observed as
with spaced as (
    select *,
        start_ns - lagInFrame(start_ns, 1, start_ns) over (
            partition by call_key order by start_ns rows between unbounded preceding and current row
        ) > 60000000000 as is_again
    from calls
    where call_key is not null
), numbered as (
    select *, sum(toUInt64(is_again)) over (partition by call_key order by start_ns) as round
    from spaced
)
select *,
    -- From the caller on: as the host says, else as the host that names a parent, else who got no answer, else who waited longest.
    row_number() over (
        partition by call_key, round
        order by
            multiIf(observer = 'client', 0, observer = 'server', 2, parent_key is not null, 0, 1),
            coalesce(class in ('transport', 'unanswered'), 0) desc,
            latency_ns desc nulls last,
            host nulls last, uid
    ) as place,
    count() over (partition by call_key, round) as hosts,
    not hasAny(findings, ['gap', 'mid-stream', 'truncated', 'shed']) as is_whole,
    -- What is known of the end: an answer that was read, one that was not, a broken connection, silence.
    multiIf(class is null, 2, class = 'transport', 1, class = 'unanswered', 0, 3) as known
from numbered;

create or replace view joined as
with caller_side as (
    select
        * except (class, carrier, code, code_name, message, network_ns, arrival, arrival_ns, work_ns, place, known, seen, hosts),
        hosts as seen, known as caller_known,
        class as caller_class, carrier as caller_carrier, code as caller_code, code_name as caller_code_name, message as caller_message
    from (select *, start as started from observed)
    where place = 1
), callee_side as (
    select
        call_key as of_call, round as of_round, host as callee_host, uid as callee_uid, start_ns as callee_start_ns,
        latency_ns as work_ns, known as callee_known,
        class as callee_class, carrier as callee_carrier, code as callee_code, code_name as callee_code_name, message as callee_message
    from observed
    where place = hosts and hosts > 1
), both as (
    select *,
        -- A connection that broke at the caller is what the caller saw, whatever was sent. Else the side that knows more has the say.
        callee_uid is null
            or coalesce(caller_class = 'transport', 0) and is_whole
            or caller_known >= callee_known as is_caller,
        multiIf(latency_ns >= work_ns, latency_ns - work_ns, latency_ns < work_ns, 0, null) as network_ns
    from caller_side
    left join callee_side on call_key = of_call and round = of_round
    settings join_use_nulls = 1
)
select
    * except (
        of_call, of_round, callee_uid, callee_start_ns, caller_known, callee_known,
        caller_class, caller_carrier, caller_code, caller_code_name, caller_message,
        callee_class, callee_carrier, callee_code, callee_code_name, callee_message
    ),
    if(is_caller, caller_class, callee_class) as class,
    if(is_caller, caller_carrier, callee_carrier) as carrier,
    if(is_caller, caller_code, callee_code) as code,
    if(is_caller, caller_code_name, callee_code_name) as code_name,
    if(is_caller, caller_message, callee_message) as message,
    -- By how much the clock of the callee's host is ahead.
    callee_start_ns - start_ns - intDiv(network_ns, 2) as ahead_ns,
    coalesce(caller_class = 'transport' and is_whole and callee_known > 1, 0) as is_answer_lost
from both;

create or replace view lost as
select started, client, server, service, method, host, callee_host, message, call_key
from joined
where is_answer_lost
order by started;

-- Which of several failed calls explains an answer is for rpcscope judge to say: here each counts.
create or replace view turns as
select
    below.service as callee, below.method as callee_method, below.class as callee_class, below.code as callee_code,
    above.service as service, above.method as method, above.class as class, above.code as code,
    multiIf(
        above.class = 'ok', 'swallowed',
        below.class = 'business' and above.class = 'rpc', 'business-became-rpc',
        below.class = 'rpc' and above.class = 'business', 'rpc-became-business',
        below.class in ('transport', 'unanswered'), 'cause-below',
        not (above.code <=> below.code), 'code-changed',
        not (above.message <=> below.message), 'message-changed',
        'passed-on'
    ) as turn,
    count() as calls,
    min(above.call_key) as example
from joined as below
join joined as above on below.parent_key = above.call_key
where below.start_ns between above.start_ns - 60000000000 and above.start_ns + coalesce(above.duration_ns, 0) + 60000000000
    and below.class in ('business', 'rpc', 'transport', 'unanswered')
    and not (above.class <=> 'oneway')
group by all
order by calls desc, callee, service;

create or replace view pairs as
select
    coalesce(caller, replaceRegexpOne(assumeNotNull(client), ':[0-9]+$', '')) as caller,
    coalesce(callee, service, server) as callee,
    count() as calls,
    countIf(class = 'business') as business,
    countIf(class = 'rpc') as rpc_errors,
    countIf(class = 'transport') as transport,
    countIf(class = 'unanswered') as unanswered,
    countIf(is_answer_lost) as answers_lost,
    round(quantileExactInclusive(0.5)(latency_ns) / 1e6, 3) as p50_ms,
    round(quantileExactInclusive(0.99)(latency_ns) / 1e6, 3) as p99_ms,
    round(quantileExactInclusive(0.5)(network_ns) / 1e6, 3) as network_p50_ms
from joined
group by all
order by calls desc, caller, callee;
