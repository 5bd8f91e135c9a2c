# shellcheck shell=bash
# `ops/chaos latency`. Sourced by ops/chaos, which has the options and starts the parts.
#
# shellcheck disable=SC2153 # what is read here is set there
# shellcheck disable=SC2016 # variables in single quotes are those of jq

LIMIT_MS=200
# They wait by their nature.
WAITING='GET /api/v1/jobs/{id}/events'

chaos_latency() {
    local operation operations=()
    # Calls are slow, not lost.
    export LITELLM_TIMEOUT=$(((LATENCY + 20) * 1000)) WORKER_LEASE_SECONDS=$((LATENCY + 40))
    start_round latency
    mkdir "$STATE/answers"
    sign_in || die "the API lets nobody in"
    first_model || die "there are no models to ask keys for"
    prepare_requests
    say "calling every route $REQUESTS times while LiteLLM answers in $LATENCY s"
    request GET /api/v1/openapi.json
    [ "$STATUS" = 200 ] || refused "reading the API's description" || die "without it the routes are not known"
    mapfile -t operations < <(jq -r '.paths | to_entries[] | .key as $path | .value | to_entries[]
        | select(.key | IN("get", "post", "put", "patch", "delete")) | "\(.key | ascii_upcase) \($path)"' "$STATE/answer")
    [ "${#operations[@]}" -gt 0 ] || die "the API's description names no routes"
    printf '%8s %8s %8s   %s\n' p50 p95 max 'ms, by route'
    for operation in "${operations[@]}"; do
        if [ "$operation" = "$WAITING" ]; then continue; fi
        measure_route "$operation" || WRONG=1
    done
    report_hits
    stop_round
    if [ "$WRONG" = 0 ]; then say "p95 of every route is below $LIMIT_MS ms"; else say "some routes are too slow, or refuse"; fi
}

# prepare_requests: what the routes need: keys, failed jobs, unfinished jobs, sign-ins under way
prepare_requests() {
    say "making $REQUESTS keys, failed jobs, unfinished jobs and sign-ins for the routes to work on"
    # One to read, the others to delete.
    REQUESTS=1 key_bodies | curl_all made
    READ_KEY=$(made_keys) READ_JOB=$(made_jobs)
    await_end "$READ_JOB" succeeded
    local job
    key_bodies | curl_all made
    made_keys >"$STATE/keys"
    made_jobs >"$STATE/made-jobs"
    while IFS= read -r job; do await_end "$job" succeeded; done <"$STATE/made-jobs"

    fault '{"name": "refuse", "match": {"path": "/key/generate"}, "action": {"kind": "status", "status": 422}}'
    key_bodies | curl_all made
    made_jobs >"$STATE/failed-jobs"
    while IFS= read -r job; do await_end "$job" failed; done <"$STATE/failed-jobs"
    clear_faults

    fault "{\"name\": \"slow\", \"action\": {\"kind\": \"latency\", \"ms\": $((LATENCY * 1000))}}"
    key_bodies | curl_all made
    made_jobs >"$STATE/unfinished-jobs"
    sign_ins | curl_all made
    jq -r .authUrl "$STATE"/answers/made-* >"$STATE/authorize"
    sign_ins | curl_all made
    jq -r .authUrl "$STATE"/answers/made-* | jq -Rc '{method: "GET", url: .}' | curl_all redirect
    cut -d' ' -f3 "$STATE/measured" >"$STATE/callbacks"
}

sign_ins() { repeat '{method: "POST", path: "/api/auth/login"}'; }

key_bodies() {
    repeat '{method: "POST", path: "/api/v1/api-keys", body: {name: "measured \(.)", modelIds: [$model]}}'
}

made_jobs() { jq -r .job.id "$STATE"/answers/made-*; }
made_keys() { jq -r .id "$STATE"/answers/made-*; }

# await_end JOB STATE
await_end() {
    local until=$((SECONDS + 60)) state=''
    while ((SECONDS < until)); do
        request GET "/api/v1/jobs/$1?wait=10"
        state=$(jq -r .state "$STATE/answer")
        case $state in
            "$2") return 0 ;;
            succeeded | failed | cancelled) break ;;
        esac
    done
    die "job $1 is $state instead of $2"
}

# requests_of OPERATION: one JSON object a line: method, path or url, body; nothing for a route that is not known here
requests_of() {
    local method=${1%% *} path=${1#* }
    case $1 in
        'GET /api/auth/mock-login') jq -Rc '{method: "GET", url: .}' "$STATE/authorize" ;;
        'GET /api/auth/callback') jq -Rc '{method: "GET", url: .}' "$STATE/callbacks" ;;
        'POST /api/auth/dev-token') repeat '{method: "POST", path: "/api/auth/dev-token", body: {username: "developer"}}' ;;
        'POST /api/auth/validate') repeat '{method: "POST", path: "/api/auth/validate", body: {token: $token}}' ;;
        'POST /api/v1/api-keys') key_bodies ;;
        'GET /api/v1/api-keys/{id}') repeat "{method: \"GET\", path: \"/api/v1/api-keys/$READ_KEY\"}" ;;
        'DELETE /api/v1/api-keys/{id}') jq -Rc '{method: "DELETE", path: "/api/v1/api-keys/\(.)"}' "$STATE/keys" ;;
        'GET /api/v1/models/{id}') repeat '{method: "GET", path: "/api/v1/models/\($model | @uri)"}' ;;
        'POST /api/v1/admin/users')
            repeat '{method: "POST", path: "/api/v1/admin/users",
                body: {username: "measured-\(.)", email: "measured-\(.)@example.com"}}'
            ;;
        'GET /api/v1/usage/summary')
            repeat '{method: "GET", path: "/api/v1/usage/summary?startDate=\(now | todate[:10])&endDate=\(now | todate[:10])"}'
            ;;
        'GET /api/v1/jobs/{id}') repeat "{method: \"GET\", path: \"/api/v1/jobs/$READ_JOB\"}" ;;
        'POST /api/v1/jobs/{id}/retry') jq -Rc '{method: "POST", path: "/api/v1/jobs/\(.)/retry"}' "$STATE/failed-jobs" ;;
        'POST /api/v1/jobs/{id}/cancel')
            jq -Rc '{method: "POST", path: "/api/v1/jobs/\(.)/cancel"}' "$STATE/unfinished-jobs"
            ;;
        *'{'*) ;;
        GET\ * | POST\ */sync | POST\ */sync/models | POST\ */refresh-today | 'POST /api/auth/login' | 'POST /api/auth/logout')
            repeat "{method: \"$method\", path: \"$path\"}"
            ;;
    esac
}

# repeat EXPRESSION: of jq, for each number from 1 to $REQUESTS
repeat() {
    jq -nc --argjson count "$REQUESTS" --arg model "$MODEL" --arg token "$TOKEN" "range(1; \$count + 1) | $1"
}

# curl_all NAME: sends the requests on standard input one after the other over one connection; the answers are in
# $STATE/answers/NAME-*, a line "status seconds redirect" for each in $STATE/measured
curl_all() {
    rm -f "$STATE/answers/$1"-*
    (umask 077 && jq -r --arg api "$API_URL" --arg token "$TOKEN" --arg answers "$STATE/answers/$1-" '
        (input_line_number | tostring | ("00000" + .)[-6:]) as $number
        | "url = \(.url // ($api + .path) | tojson)", "request = \(.method | tojson)", "silent", "noproxy = \"*\"",
          "max-time = 60", "header = \("authorization: Bearer " + $token | tojson)",
          (if .body then "header = \"content-type: application/json\"", "data = \(.body | tojson | tojson)" else empty end),
          "output = \($answers + $number | tojson)",
          "write-out = \"%{http_code} %{time_total} %{redirect_url}\\n\"", "next"' | sed '$d' >"$STATE/requests")
    curl --config "$STATE/requests" >"$STATE/measured" || die "the API did not answer: $(tail -n 1 "$STATE/measured")"
}

# measure_route OPERATION: prints its line; fails when it is too slow or an answer is no success
measure_route() {
    requests_of "$1" >"$STATE/route"
    if [ ! -s "$STATE/route" ]; then
        printf '%8s %8s %8s   %s\n' - - - "$1: no request for it is known; add one to ops/chaos-latency.sh"
        return 1
    fi
    curl_all route <"$STATE/route"
    sort -n -k 2 "$STATE/measured" | awk -v name="$1" -v limit="$LIMIT_MS" '
        function rank(part) { n = part * NR; n = n > int(n) ? int(n) + 1 : n; return ms[n < 1 ? 1 : n] }
        { ms[NR] = $2 * 1000; if ($1 !~ /^[23]/) refused[$1]++ }
        END {
            for (status in refused) remark = remark sprintf(", %d times status %s", refused[status], status)
            if (rank(0.95) >= limit) remark = remark ", too slow"
            printf "%8.1f %8.1f %8.1f   %s%s\n", rank(0.5), rank(0.95), rank(1), name, remark
            exit remark != ""
        }'
}

# report_hits: proves that LiteLLM was slow
report_hits() {
    litellm_request GET /_sim/faults "$LITELLM_KEY"
    [ "$STATUS" = 200 ] || refused "asking the simulator for its faults" || return 0
    say "LiteLLM was called $(jq '[.faults[].hits] | add // 0' "$STATE/answer") times meanwhile"
}
