# shellcheck shell=bash
# `ops/chaos engine`. Sourced by ops/chaos, which has the options.
#
# shellcheck disable=SC2153 # what is read here is set there

SLOTS_EACH=16     # jobs at a time in one worker
LEASE=15          # seconds
QUIET=35          # seconds between two faults
SETTLED=15        # seconds after a fault from which on windows count as fault-free
WINDOW=5          # seconds
# The faults and the quiet times around them, in seconds: what the jobs have to last for.
PLANNED=$((QUIET * 7 + 15 + 3 + 10 + 10 + 20 + 3))

chaos_engine() {
    local slots=$((WORKERS * SLOTS_EACH))
    JOB_MS=$((slots * 1000 * (PLANNED + 15) / JOBS))
    [ "$JOB_MS" -ge 2 ] || die "$JOBS jobs are too many for $WORKERS workers: raise --workers"
    need_packages socat pgbouncer
    start_engine_database
    start_proxy
    start_pooler
    say "enqueueing $JOBS jobs of $JOB_MS ms"
    run_logged fill "$BIN/litemaasctl" chaos fill --jobs "$JOBS" --job-ms "$JOB_MS" || {
        show_log fill
        die "the jobs could not be enqueued"
    }
    say "starting $WORKERS workers with $slots slots, half of them through PgBouncer, all through a proxy"
    local number
    for ((number = 1; number <= WORKERS; number++)); do start_chaos_worker "$number"; done
    BEGUN=$(now)
    rest "the fault-free beginning"
    fault_of kill 15 kill_workers
    fault_of restart 0 restart_postgresql
    fault_of terminate 10 terminate_backends
    fault_of stall 10 stall_proxy
    fault_of half-open 20 half_open
    fault_of restart-again 0 restart_postgresql
    ENDED=$(now)
    drain_jobs
    for ((number = 1; number <= WORKERS; number++)); do stop "${WORKER_PIDS[$number]}"; done
    check_jobs || WRONG=1
    report_throughput || WRONG=1
    if [ "$WRONG" = 0 ]; then say "nothing lost, nothing doubled, full speed after every fault"; fi
}

now() { date +%s.%N | cut -c1-14; }

# --- the parts -----------------------------------------------------------------------------------

start_engine_database() {
    export PG_FSYNC=on
    start_postgresql
    DATABASE_NAME=litemaas_chaos
    export ENV_FILE=none APP_ENV=development LOG_LEVEL=${LOG_LEVEL:-warning} LOG_FORMAT=json
    export DATABASE_URL=$PG_URL/$DATABASE_NAME
    prepare_database
}

start_proxy() {
    free_port
    PROXY_PORT=$PORT_FOUND
    start proxy socat "TCP-LISTEN:$PROXY_PORT,bind=127.0.0.1,fork,reuseaddr,backlog=200" "TCP:127.0.0.1:${PG_URL##*:}"
    PROXY_PID=$PID
}

start_pooler() {
    free_port
    POOLER_PORT=$PORT_FOUND
    local directory=$STATE/pgbouncer options=()
    mkdir "$directory"
    (umask 077 && cat >"$directory/pgbouncer.ini") <<INI
[databases]
* = host=127.0.0.1 port=$PROXY_PORT user=postgres password=$(cat "$STATE/pg/password")
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $POOLER_PORT
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 40
max_client_conn = 1000
server_connect_timeout = 3
server_login_retry = 1
ignore_startup_parameters = extra_float_digits
INI
    if [ -n "$PG_ACCOUNT" ]; then
        chown -R "$PG_ACCOUNT" "$directory"
        options=(-u "$PG_ACCOUNT")
    fi
    start pgbouncer pgbouncer -q ${options[@]+"${options[@]}"} "$directory/pgbouncer.ini"
}

# start_chaos_worker NUMBER: even ones go through PgBouncer
start_chaos_worker() {
    local name=worker-$1 again=1 url=${PG_URL%:*}:$PROXY_PORT/$DATABASE_NAME
    while [ -e "$STATE/$name.log" ]; do
        again=$((again + 1))
        name=worker-$1-$again
    done
    local variables=(DATABASE_URL="$url")
    if (($1 % 2 == 0)); then
        variables=(DATABASE_URL="${PG_URL%:*}:$POOLER_PORT/$DATABASE_NAME" DATABASE_DIRECT_URL="$url"
            DATABASE_POOL_MODE=transaction)
    fi
    start "$name" env "${variables[@]}" DATABASE_STATEMENT_TIMEOUT_MS=4000 DATABASE_LEASE_TIMEOUT_MS=4000 \
        DB_CONNECTION_TIMEOUT=2000 DATABASE_POOL_SIZE=8 \
        "$BIN/litemaasctl" chaos worker --concurrency "$SLOTS_EACH" --lease "$LEASE"
    WORKER_PIDS[$1]=$PID
}

# rest WHAT: the quiet time; a worker that ends by itself ends the run
rest() {
    say "$1: $QUIET s, $(left) jobs left"
    local until=$((SECONDS + QUIET)) number
    while ((SECONDS < until)); do
        for number in "${!WORKER_PIDS[@]}"; do
            running "${WORKER_PIDS[$number]}" || {
                show_log "worker-$number"
                die "worker $number ended by itself"
            }
        done
        sleep 1
    done
}

left() { sql -c 'select count(*) from jobs'; }

# --- the faults ----------------------------------------------------------------------------------

# fault_of NAME SECONDS FUNCTION: one fault and the quiet time after it
fault_of() {
    local begun
    begun=$(now)
    say "fault: $1"
    "$3" "$2"
    echo "$1 $begun $(now)" >>"$STATE/faults"
    rest "after $1"
}

# kill_workers SECONDS: one by SIGKILL every three seconds, started again at once
kill_workers() {
    local until=$((SECONDS + $1)) number
    while ((SECONDS < until)); do
        number=$((RANDOM % WORKERS + 1))
        note "killing worker $number"
        # The shell is not to tell of it once more.
        disown "${WORKER_PIDS[$number]}"
        kill -KILL "${WORKER_PIDS[$number]}"
        unregister "${WORKER_PIDS[$number]}"
        start_chaos_worker "$number"
        sleep 3
    done
}

# terminate_backends SECONDS: a third of them every second
terminate_backends() {
    local until=$((SECONDS + $1))
    while ((SECONDS < until)); do
        sql -c "select count(pg_terminate_backend(pid)) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid() and random() < 0.3" >/dev/null
        sleep 1
    done
}

# stall_proxy SECONDS: nothing passes, in old connections and new ones; then everything goes on
stall_proxy() {
    local members
    members="$PROXY_PID $(session_members "$PROXY_PID" | tr '\n' ' ')"
    # shellcheck disable=SC2086 # process ids; some may have ended
    kill -STOP $members 2>/dev/null || true
    sleep "$1"
    # shellcheck disable=SC2086
    kill -CONT $members 2>/dev/null || true
}

# half_open SECONDS: the connections there are never say a word again; new ones work
half_open() {
    local member members
    members=$(session_members "$PROXY_PID" | grep -vx "$PROXY_PID" || true)
    for member in $members; do kill -STOP "$member" 2>/dev/null || true; done
    sleep "$1"
    for member in $members; do kill -KILL "$member" 2>/dev/null || true; done
}

# --- what came of it -----------------------------------------------------------------------------

drain_jobs() {
    local until count said=$SECONDS
    until=$((SECONDS + PLANNED + 120))
    say "waiting for the rest: $(left) jobs"
    while ((SECONDS < until)); do
        count=$(left)
        if [ "$count" = 0 ]; then return 0; fi
        if ((SECONDS - said >= 15)); then
            said=$SECONDS
            note "$count jobs left"
        fi
        sleep 1
    done
    note "these jobs do not end (state, count, oldest): $(sql -F ' ' -c 'select state, count(*), min(id) from jobs group by 1' | tr '\n' ';')"
    WRONG=1
}

# check NAME WANTED QUERY
check() {
    local found
    found=$(sql -c "$3")
    printf '%-66s %8s\n' "$1" "$found"
    [ "$found" = "$2" ] || {
        note "wrong: $1 is $found, not $2"
        return 1
    }
}

check_jobs() {
    local wrong=0
    say "counting"
    check 'jobs that succeeded' "$JOBS" \
        'select count(distinct id) from job_history where outcome = 10' || wrong=1
    check 'lost: not ended, or ended otherwise' 0 \
        "select (select count(*) from jobs) + (select count(*) from job_dead_letters)
            + (select count(*) from job_history where outcome <> 10)" || wrong=1
    check 'finished twice' 0 \
        'select count(*) from (select from job_history group by id having count(*) > 1) as twice' || wrong=1
    check 'attempts that had their effect twice' 0 \
        'select count(*) from (select from chaos_effects group by job_id, token having count(*) > 1) as twice' || wrong=1
    check 'finished without an effect' 0 \
        'select count(*) from job_history h where not exists (select from chaos_effects e where e.job_id = h.id)' || wrong=1
    check 'jobs of one object that overlapped or changed places' 0 \
        'select count(*) from (
            select started_at < lag(finished_at) over (partition by order_key order by id) as is_early
            from job_history where order_key is not null) as pairs where is_early' || wrong=1
    check 'attempts charged without a reason noted' 0 \
        "select count(*) from job_history h join job_kinds k on k.id = h.kind_id
            where h.attempt <> 1 + (select count(*) from job_attempts a where a.job_id = h.id and a.charged)" || wrong=1
    printf '%-66s %8s\n' 'attempts repeated because a worker was lost' \
        "$(sql -c "select count(*) from job_attempts where code = 'worker_lost'")"
    return "$wrong"
}

# report_throughput: jobs/s in windows without faults, and how soon each fault was made good
report_throughput() {
    sql -F ' ' -c "select floor(extract(epoch from finished_at))::bigint, count(*) from job_history group by 1 order by 1" \
        >"$STATE/seconds"
    awk -v begun="$BEGUN" -v ended="$ENDED" -v window="$WINDOW" -v settled="$SETTLED" -v quiet="$QUIET" '
        function rate(from,    at, sum) {
            sum = 0
            for (at = from; at < from + window; at++) sum += count[at]
            return sum / window
        }
        function median(values, n) { return n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2 }
        FILENAME ~ /faults$/ { name[++faults] = $1; from[faults] = $2; to[faults] = $3; next }
        { count[$1] = $2 }
        END {
            # The first seconds are those of starting up.
            at = int(begun) + 10
            for (fault = 1; fault <= faults + 1; fault++) {
                until = fault > faults ? int(ended) : int(from[fault])
                for (; at + window <= until; at += window) free[++n] = rate(at)
                if (fault <= faults) at = int(to[fault]) + 1 + settled
            }
            if (n < 3) { print "too few windows without faults to compare with"; exit 1 }
            for (i = 2; i <= n; i++)
                for (j = i; j > 1 && free[j] < free[j - 1]; j--) { kept = free[j]; free[j] = free[j - 1]; free[j - 1] = kept }
            middle = median(free, n)
            printf "\njobs/s in %d windows of %d s without faults: lowest %.1f, median %.1f, highest %.1f (spread %.0f %%)\n", \
                n, window, free[1], middle, free[n], 100 * (free[n] - free[1]) / middle
            printf "%-16s %10s %16s %22s\n", "fault", "lasted s", "back after s", "settled, of median"
            bad = 0
            for (fault = 1; fault <= faults; fault++) {
                end = int(to[fault]) + 1
                back = -1
                for (second = 0; second + window <= quiet && back < 0; second++)
                    if (rate(end + second) >= 0.9 * middle) back = second
                sum = m = 0
                for (at = end + settled; at + window <= end + quiet - 1; at += window) { sum += rate(at); m++ }
                share = m ? sum / m / middle : 0
                printf "%-16s %10.1f %16s %20.0f %%\n", name[fault], to[fault] - from[fault], \
                    (back < 0 ? "never" : back), 100 * share
                if (back < 0 || share < 0.9) bad = 1
            }
            exit bad
        }' "$STATE/faults" "$STATE/seconds" || {
        note "wrong: after a fault the throughput did not come back to 90 % of the fault-free windows"
        return 1
    }
}
