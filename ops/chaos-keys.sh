# shellcheck shell=bash
# `ops/chaos keys`. Sourced by ops/chaos, which has the options and starts the parts.
#
# shellcheck disable=SC2153 # what is read here is set there

SCENARIOS=(down errors dropped-answers killed-worker)
DOWN_SECONDS=60
KILL_EVERY=3
# How long the jobs of a phase may take after the last key was asked for.
PATIENCE=600
# Names of everything this run makes begin with this.
TAG=chaos-$(printf '%04x%04x' "$RANDOM" "$RANDOM")
SUMMARY=()

check_scenario() {
    if [ "$SCENARIO" = all ]; then return 0; fi
    case " ${SCENARIOS[*]} " in
        *" ${SCENARIO:-none} "*) SCENARIOS=("$SCENARIO") ;;
        *) die "--scenario is one of: ${SCENARIOS[*]} all" ;;
    esac
}

chaos_keys() {
    local scenario
    # Spread over 40 s, but never slower than 10 in a second.
    # A lease that outlasts a call to LiteLLM, and little more: a killed worker's jobs are taken over when it ends.
    export LITELLM_TIMEOUT=10000 WORKER_LEASE_SECONDS=15 WORKER_HEARTBEAT_SECONDS=2
    RATE=$(awk -v count="$COUNT" 'BEGIN { rate = count / 40; print rate < 10 ? 10 : rate }')
    if [ -n "$REAL_URL" ]; then AT_END=(delete_from_litellm "${AT_END[@]}"); fi
    for scenario in "${SCENARIOS[@]}"; do
        run_scenario "$scenario"
    done
    printf '%s\n' "${SUMMARY[@]}"
    if [ "$WRONG" = 0 ]; then say "every count holds ($((SECONDS - STARTED_AT)) s)"; else say "some counts are wrong"; fi
}

# run_scenario NAME
run_scenario() {
    local name=$1
    say "scenario $name"
    start_round "$name"
    watch_breakers
    sign_in || die "the API lets nobody in"
    first_model || die "there are no models to ask keys for"
    load_calm "$name"
    begin_faults "$name"
    load_scenario "$name"
    count_faults
    clear_faults
    report_scenario "$name"
    if [ -n "$REAL_URL" ]; then delete_from_litellm; fi
    stop_round
}

# --- load --------------------------------------------------------------------------------------

# begin_load SCENARIO PHASE COUNT USERS: in the background; the report is the last line of its log
begin_load() {
    start "load-$2" "$BIN/litemaasctl" load keys --api "$API_URL" --count "$3" --users "$4" --per-second "$RATE" \
        --concurrency 32 --name "$TAG-$2" --user-name "$TAG-$1" --model "$MODEL" --wait --timeout "$PATIENCE" --json
}

# load_calm SCENARIO: all is well, with half of the users
load_calm() {
    local count=$((COUNT / 4 > 40 ? COUNT / 4 : 40)) users=$((USERS / 2 > 0 ? USERS / 2 : 1)) pid status=0
    say "asking for $count keys while all is well ($RATE in a second)"
    begin_load "$1" "calm-$1" "$count" "$users"
    pid=$PID
    wait "$pid" || status=$?
    unregister "$pid"
    if [ "$status" != 0 ]; then
        show_log "load-calm-$1"
        die "keys fail even while all is well"
    fi
}

# load_scenario SCENARIO: until every job has ended or the time is over
load_scenario() {
    local name=$1 pid tick=0 victim=1 kill_at=$((SECONDS + KILL_EVERY))
    KILLS=0
    say "asking for $COUNT keys meanwhile"
    begin_load "$name" "$name" "$COUNT" "$USERS"
    pid=$PID
    while running "$pid"; do
        sleep 0.5
        tick=$((tick + 1))
        if [ "$name" = killed-worker ] && ((SECONDS >= kill_at)); then
            kill_worker "$victim"
            victim=$((3 - victim)) kill_at=$((SECONDS + KILL_EVERY))
        fi
        if ((tick % 20 == 0)); then note "$(progress "$name")"; fi
        running "$API_PID" || die "the API ended by itself"
        running "$LITELLM_PID" || die "the simulator ended by itself"
    done
    # Its status says no more than its report, which is read next.
    wait "$pid" || true
    unregister "$pid"
}

# kill_worker NUMBER: at once, as the kernel does when memory runs out, and starts it again
kill_worker() {
    local pid=${WORKER_PIDS[$1]}
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    unregister "$pid"
    KILLS=$((KILLS + 1))
    start_numbered_worker "$1"
}

progress() {
    sql -v tag="$TAG-$1-" <<'SQL'
select format('%s of %s keys are in LiteLLM; breaker %s',
    (select count(*) from api_keys where starts_with(name, :'tag') and sync_status = 'synced'),
    (select count(*) from api_keys where starts_with(name, :'tag')),
    (select case state when 0 then 'closed' when 1 then 'open' when 2 then 'half-open' when 3 then 'ramping up'
        else state::text end from breakers where name = 'litellm.admin'))
SQL
}

# --- faults ------------------------------------------------------------------------------------

begin_faults() {
    case $1 in
        down)
            say "LiteLLM refuses connections for $DOWN_SECONDS s"
            fault "{\"name\": \"down\", \"for_ms\": $((DOWN_SECONDS * 1000)), \"action\": {\"kind\": \"down\", \"how\": \"refuse\"}}"
            ;;
        errors)
            say "LiteLLM answers 20 % of the calls with 500, half of them after their effect"
            # The second rule sees the 90 % that the first one leaves.
            fault '[{"name": "before", "match": {"percent": 10}, "action": {"kind": "status", "status": 500}},
                {"name": "after", "match": {"percent": 11.11}, "action": {"kind": "status", "status": 500, "when": "after"}}]'
            ;;
        dropped-answers)
            say "the connection is dropped after the effect in 10 % of the calls"
            fault '{"name": "drop", "match": {"percent": 10}, "action": {"kind": "drop", "when": "after"}}'
            ;;
        killed-worker)
            say "every $KILL_EVERY s a worker is killed; each call takes 0.3 s longer, so that it dies in the middle of work"
            fault '[{"name": "slow", "action": {"kind": "latency", "ms": 150}},
                {"name": "slow answer", "action": {"kind": "latency", "ms": 150, "when": "after"}}]'
            ;;
    esac
}

# count_faults: in $FAULTS, how many calls they hit, as JSON by name
count_faults() {
    litellm_request GET /_sim/faults "$LITELLM_KEY"
    [ "$STATUS" = 200 ] || refused "asking for the faults" || die "the faults could not be counted"
    FAULTS=$(jq -c '.faults | map({key: .name, value: .hits}) | from_entries' "$STATE/answer")
}

# watch_breakers: notes every change of a breaker with its time, so that none is missed between two looks
watch_breakers() {
    sql <<'SQL'
create table chaos_breaker_changes (
    id bigint generated always as identity, upstream smallint not null, state smallint not null,
    at timestamptz not null default clock_timestamp());
create function chaos_note_breaker() returns trigger language plpgsql as $$
begin
    insert into chaos_breaker_changes (upstream, state) values (new.upstream, new.state);
    return null;
end $$;
create trigger chaos_note_breaker after update on breakers for each row
    when (old.state is distinct from new.state) execute function chaos_note_breaker();
SQL
}

# --- counting ----------------------------------------------------------------------------------

# report_scenario NAME: prints it, and sets $WRONG when a count is
report_scenario() {
    local name=$1 load calm found breaker before=$WRONG
    WRONG=0
    calm=$(tail -n 1 "$STATE/load-calm-$name.log")
    load=$(tail -n 1 "$STATE/load-$name.log")
    jq -e . >/dev/null 2>&1 <<<"$load" || {
        show_log "load-$name"
        die "the load ended without a report"
    }
    found=$(count_in_litellm "$name") || die "LiteLLM could not be asked for its keys"
    breaker=$(breaker_account)
    echo
    echo "scenario $name: $COUNT keys, $USERS users, two workers$(if [ "$KILLS" -gt 0 ]; then echo ", $KILLS kills"; fi)"
    jq -rn --argjson load "$load" --argjson calm "$calm" --argjson faults "$FAULTS" --argjson found "$found" --argjson breaker "$breaker" '
        def listed: to_entries | sort_by(.key | tonumber? // 0) | map("\(.key): \(.value)") | join(", ");
        "  jobs        \($load.states | listed), \($load.followingSeconds) s after the last key was asked for",
        "  attempts    \($load.attempts | listed)",
        (if $faults == {} then empty else "  faults      \($faults | listed) calls" end),
        "  errors      \($load.errors | listed | if . == "" then "none" else . end)",
        "  POST p95    \($load.post.p95) ms; \($calm.post.p95) ms while all was well (p50 \($load.post.p50), \($calm.post.p50))",
        "  breaker     \($breaker.openings) times open, \($breaker.seconds) s in all; attempts begun meanwhile \($breaker.begun), lost \($breaker.lost)",
        "  LiteLLM     \($found.keys) keys, \($found.aliases) aliases, \($found.marked) with our marker"' | tee "$STATE/report-$name.log"
    if [ "$name" != down ]; then expect "faults that hit no call" "$(jq 'map(select(. == 0)) | length' <<<"$FAULTS")" 0; fi
    expect "keys accepted" "$(jq .accepted <<<"$load")" "$COUNT"
    expect "jobs succeeded, as the API says" "$(jq '.states.succeeded // 0' <<<"$load")" "$COUNT"
    expect "jobs succeeded, as the database says" "$(succeeded_jobs "$name")" "$COUNT"
    expect "keys in LiteLLM" "$(jq .keys <<<"$found")" "$COUNT"
    expect "different aliases in LiteLLM" "$(jq .aliases <<<"$found")" "$COUNT"
    expect "keys in LiteLLM with our marker and their row's hash" "$(jq .marked <<<"$found")" "$COUNT"
    expect "keys in LiteLLM that no row stands for" "$(jq .strangers <<<"$found")" 0
    expect "attempts lost by jobs claimed while the breaker was not closed" "$(jq .lost <<<"$breaker")" 0
    expect "jobs with more attempts than errors account for" "$(jq .unexplained <<<"$breaker")" 0
    jq -r '.problems[] | "  problem     \(.)"' <<<"$load"
    if [ "$WRONG" = 0 ]; then
        SUMMARY+=("$name: good")
        WRONG=$before
    else
        SUMMARY+=("$name: WRONG")
        unfinished "$name"
    fi
}

# expect WHAT IS WANTED: sets $WRONG when it is not
expect() {
    if [ "$2" = "$3" ]; then
        echo "  ok          $1: $2"
    else
        echo "  WRONG       $1: $2 instead of $3"
        WRONG=1
    fi
}

succeeded_jobs() {
    sql -v tag="$TAG-$1-" <<'SQL'
select count(*) from job_history h join job_kinds k on k.id = h.kind_id and k.name = 'key.create'
join api_keys a on a.id::text = h.resource_id where h.outcome = 10 and starts_with(a.name, :'tag')
SQL
}

# breaker_account: how long the breakers held calls back, and what became of attempts that began meanwhile. Those whose
# worker died count by design, and are left out. And jobs that lost an attempt without a note of it.
breaker_account() {
    sql <<'SQL'
with spans as (
    select upstream, state, at as since, coalesce(lead(at) over (partition by upstream order by id), now()) as until
    from chaos_breaker_changes
), shut as (select * from spans where state in (1, 2, 8)
), ended as (
    select id, upstream, started_at, attempt, outcome from job_history
    union all select id, upstream, started_at, attempt, outcome from job_dead_letters
), attempts as (
    select a.job_id, e.upstream, a.started_at, a.charged, a.class from job_attempts a join ended e on e.id = a.job_id
    union all select id, upstream, started_at, false, 'succeeded' from ended where outcome = 10
), begun as (
    select a.* from attempts a
    join shut s on s.upstream = a.upstream and a.started_at >= s.since and a.started_at < s.until
)
select json_build_object(
    'openings', (select count(*) from spans where state = 1 and upstream = 1),
    'seconds', (select coalesce(round(sum(extract(epoch from until - since)), 1), 0) from shut where upstream = 1),
    'begun', (select count(*) from begun),
    'lost', (select count(*) from begun where charged and class <> 'lost'),
    'unexplained', (select count(*) from ended e where outcome = 10
        and attempt <> 1 + (select count(*) from job_attempts a where a.job_id = e.id and a.charged)))
SQL
}

# unfinished NAME: what stands in the way of the jobs that did not succeed
unfinished() {
    note "what is left, by job:"
    sql -v tag="$TAG-$1-" <<'SQL' | sed 's/^/    | /' >&2
select format('job %s key %s: state %s attempt %s; last error %s', j.id, a.name, j.state, j.attempt,
    (select t.code || ': ' || t.message from job_attempts t where t.job_id = j.id order by t.ended_at desc limit 1))
from api_keys a join jobs j on j.resource_id = a.id::text where starts_with(a.name, :'tag') limit 20
SQL
    sql <<'SQL' | sed 's/^/    | /' >&2
select format('dead letter %s %s %s: %s: %s', d.id, d.resource_type, d.resource_id, d.error_code, d.error_message)
from job_dead_letters d limit 20
SQL
    show_log api 5
}

# litellm_keys FILE: every key that LiteLLM has, one a line; asked directly, not through the fault proxy
litellm_keys() {
    local page=1 pages=1
    # Read by litellm_request.
    # shellcheck disable=SC2034
    local LITELLM_URL=${REAL_URL:-$LITELLM_URL}
    : >"$1"
    while ((page <= pages)); do
        litellm_request GET "/key/list?page=$page&size=100&return_full_object=true" "$LITELLM_KEY"
        [ "$STATUS" = 200 ] || refused "listing LiteLLM's keys" || return 1
        jq -c '.keys[]' "$STATE/answer" >>"$1" || return 1
        pages=$(jq -er .total_pages "$STATE/answer") || return 1
        page=$((page + 1))
    done
}

# count_in_litellm NAME: as JSON. A key belongs to the run by its alias, its marker or its user.
count_in_litellm() {
    litellm_keys "$STATE/litellm-keys.jsonl" || return 1
    sql -c "select json_build_object('id', id, 'hash', key_hash, 'alias', litellm_alias, 'user', user_id) from api_keys" \
        >"$STATE/rows.jsonl" || return 1
    jq -sc --slurpfile rows "$STATE/rows.jsonl" --arg tag "$TAG-$1-" --arg run "$TAG-" '
        ($rows | map({key: .id, value: .}) | from_entries) as $byId
        | ($rows | map({key: .user, value: true}) | from_entries) as $users
        | def row: $byId[.metadata.db_key_id? // ""];
        def marked: row as $row | $row != null and .metadata.created_by == "litemaas"
            and .token == $row.hash and .key_alias == $row.alias;
        map(select(((.key_alias // "") | startswith($run)) or row != null or $users[.user_id // ""]))
        | map(select((.key_alias // "") | startswith($tag))) as $scenario
        | {keys: ($scenario | length), aliases: ($scenario | map(.key_alias) | unique | length),
           marked: ($scenario | map(select(marked)) | length), strangers: (map(select(marked | not)) | length)}' \
        "$STATE/litellm-keys.jsonl"
}

# delete_from_litellm: the keys and users this run made in a real LiteLLM; the workers first, so that no key follows
delete_from_litellm() {
    [ -n "${DATABASE_NAME:-}" ] || return 0
    local pid
    for pid in "${WORKER_PIDS[@]}"; do stop "$pid"; done
    # shellcheck disable=SC2034
    local LITELLM_URL=$REAL_URL
    say "deleting from LiteLLM what this run made there"
    litellm_keys "$STATE/litellm-keys.jsonl" || return 0
    local body deleted=0
    while IFS= read -r body; do
        litellm_request POST /key/delete "$LITELLM_KEY" "$body"
        [ "$STATUS" = 200 ] || refused "deleting keys from LiteLLM" || return 0
        deleted=$((deleted + $(jq '.keys | length' <<<"$body")))
    done < <(jq -sc --arg run "$TAG-" '
        map(select((.key_alias // "") | startswith($run)) | .token) | _nwise(100) | select(length > 0) | {keys: .}' \
        "$STATE/litellm-keys.jsonl")
    note "$deleted keys deleted"
    while IFS= read -r body; do
        litellm_request POST /user/delete "$LITELLM_KEY" "$body"
        case $STATUS in
            200 | 404) ;;
            *) refused "deleting a user from LiteLLM" || return 0 ;;
        esac
    done < <(sql <<<"select json_build_object('user_ids', array[id]) from users where oauth_provider <> 'system'")
    DATABASE_NAME=''
}
