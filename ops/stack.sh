# shellcheck shell=bash
# The parts of a running installation, for ops/run and ops/dev. Sourced after lib.sh.
#
# Read from the script: ONCE, PORT, LITELLM_URL, LITELLM_KEY. The programs are in $BIN.
#
# shellcheck disable=SC2034 # what is set here is read by the scripts

LITELLM_PID='' API_PID='' WORKER_PID=''

# usual_port PORT: in $PORT_FOUND, that port if it is free, else another one; with --once always another one
usual_port() {
    if [ -z "$ONCE" ] && port_is_free "$1"; then PORT_FOUND=$1; else free_port; fi
}

# start_litellm: the simulator, unless a LiteLLM was named
start_litellm() {
    if [ -n "$LITELLM_URL" ]; then
        say "using the LiteLLM at $LITELLM_URL"
        return 0
    fi
    usual_port 4000
    LITELLM_URL=http://127.0.0.1:$PORT_FOUND
    LITELLM_KEY=sk-$(random_text 24 | tr -d '+/=')
    say "starting the simulated LiteLLM at $LITELLM_URL"
    start litellm env LITELLM_MASTER_KEY="$LITELLM_KEY" "$BIN/litellm-simulator" --port "$PORT_FOUND"
    LITELLM_PID=$PID
    wait_for_http "$LITELLM_URL/health/liveliness" 30 "$LITELLM_PID" litellm
}

# no_rate_limits: for programs that ask more often than people do; before configure_stack
no_rate_limits() {
    export RATE_LIMIT_GLOBAL=0 RATE_LIMIT_AUTHENTICATED=0 RATE_LIMIT_API_KEY=0 RATE_LIMIT_ADMIN=0 RATE_LIMIT_LOGIN=0 \
        RATE_LIMIT_REVEAL=0
}

# configure_stack: settings with fresh secrets, good for this run
configure_stack() {
    if [ -z "$PORT" ]; then
        usual_port 8080
        PORT=$PORT_FOUND
    fi
    port_is_free "$PORT" || die "port $PORT is taken; choose another one with --port"
    usual_port 8090
    WORKER_PORT=$PORT_FOUND
    API_URL=http://127.0.0.1:$PORT
    DATABASE_URL=$PG_URL/litemaas
    export ENV_FILE=none APP_ENV=development MOCK_AUTH=true HOST=127.0.0.1 PORT WORKER_PORT DATABASE_URL
    export LITELLM_API_URL=$LITELLM_URL LITELLM_API_KEY=$LITELLM_KEY
    JWT_SECRET=$(random_text 48)
    SECRETS_KEYS=dev:$(random_text 32)
    export JWT_SECRET SECRETS_KEYS
    export LOG_LEVEL=${LOG_LEVEL:-info} LOG_FORMAT=${LOG_FORMAT:-json}
}

prepare_database() {
    say "creating the database and its tables"
    run_logged database "$BIN/litemaasctl" db setup --migrations "$REPO/migrations" || {
        show_log database
        die "the database could not be set up"
    }
}

start_api() {
    say "starting the API at $API_URL"
    start api "$BIN/litemaas-api"
    API_PID=$PID
    wait_for_http "$API_URL/api/v1/health/live" 60 "$API_PID" api
}

start_worker() {
    say "starting a worker"
    start worker "$BIN/litemaas-worker"
    WORKER_PID=$PID
    wait_for_http "http://127.0.0.1:$WORKER_PORT/health/live" 60 "$WORKER_PID" worker
}

# request METHOD PATH [JSON]: to the API, as the user of $TOKEN; the status is in $STATUS, the body in $STATE/answer
request() {
    local method=$1 path=$2 body=${3:-} arguments=()
    if [ -n "$body" ]; then arguments=(--header 'content-type: application/json' --data "$body"); fi
    if [ -n "${TOKEN:-}" ]; then arguments+=(--header @"$STATE/authorization"); fi
    STATUS=$(curl --silent --show-error --noproxy '*' --max-time 40 --request "$method" --output "$STATE/answer" \
        --write-out '%{http_code}' ${arguments[@]+"${arguments[@]}"} "$API_URL$path") || STATUS=000
}

# refused WHAT: says what was answered instead; fails
refused() {
    note "failed: $1 (status $STATUS)"
    if [ -s "$STATE/answer" ]; then head -c 600 "$STATE/answer" | sed 's/^/    | /' >&2 && echo >&2; fi
    return 1
}

# sign_in: a session of an administrator, as scripts get it where MOCK_AUTH is on
sign_in() {
    TOKEN=''
    # A new person each time: a LiteLLM that stays may know the last one's address under another id.
    DEVELOPER=developer-$(od -An -N4 -tx4 /dev/urandom | tr -d ' ')
    request POST /api/auth/dev-token "{\"username\":\"$DEVELOPER\",\"roles\":[\"admin\",\"user\"]}"
    [ "$STATUS" = 200 ] || refused "signing in" || return 1
    TOKEN=$(jq -er .access_token "$STATE/answer") || refused "signing in" || return 1
    (umask 077 && printf 'authorization: Bearer %s\n' "$TOKEN" >"$STATE/authorization")
}

# first_model: in $MODEL, once the worker has read the models from LiteLLM
first_model() {
    local until=$((SECONDS + 60))
    while ((SECONDS < until)); do
        request GET '/api/v1/models?limit=100'
        [ "$STATUS" = 200 ] || refused "listing the models" || return 1
        # The cheapest one that chats and costs something, so that the call shows up as spend.
        MODEL=$(jq -r '
            def cost: (.inputCostPerToken | tonumber? // 0) | if . > 0 then . else 1000 end;
            [.data[]? | select(.isActive and (.supportsEmbeddings | not))] | sort_by(cost) | first.id // ""' \
            "$STATE/answer")
        if [ -n "$MODEL" ]; then return 0; fi
        sleep 0.3
    done
    refused "waiting for the models of LiteLLM"
}

# subscribe: whoever is signed in, to $MODEL; they may be already
subscribe() {
    request POST /api/v1/subscriptions "$(jq -nc --arg model "$MODEL" '{modelId: $model}')"
    [ "$STATUS" = 201 ] || [ "$STATUS" = 409 ] || refused "subscribing to $MODEL" || return 1
}

# await_job ID: until it has ended; fails unless it succeeded
await_job() {
    local until=$((SECONDS + 90)) state=''
    while ((SECONDS < until)); do
        request GET "/api/v1/jobs/$1?wait=20"
        [ "$STATUS" = 200 ] || refused "asking for job $1" || return 1
        state=$(jq -r .state "$STATE/answer")
        case $state in
            succeeded) return 0 ;;
            failed | cancelled) refused "job $1 ended $state" || return 1 ;;
        esac
    done
    refused "job $1 is still $state after 90 s"
}

# first_key: intent -> job -> LiteLLM -> chat; each step says so. The secret is in $FIRST_KEY.
first_key() {
    local job hash
    say "making a first key, end to end"
    sign_in || return 1
    first_model || return 1
    subscribe || return 1
    request POST /api/v1/api-keys "$(jq -nc --arg model "$MODEL" '{name: "first key", modelIds: [$model]}')"
    [ "$STATUS" = 202 ] || refused "asking for a key" || return 1
    job=$(jq -er .job.id "$STATE/answer") || refused "asking for a key" || return 1
    FIRST_KEY=$(jq -er .key "$STATE/answer") || refused "asking for a key" || return 1
    echo "intent accepted (202): job $job"
    await_job "$job" || return 1
    echo "job succeeded: job $job"
    hash=$(printf %s "$FIRST_KEY" | sha256sum | cut -d' ' -f1)
    litellm_request GET "/key/info?key=$hash" "$LITELLM_KEY"
    [ "$STATUS" = 200 ] && jq -e '.info.metadata.created_by == "litemaas"' "$STATE/answer" >/dev/null ||
        refused "asking LiteLLM for the key" || return 1
    echo "LiteLLM knows the key: alias $(jq -r .info.key_alias "$STATE/answer")"
    litellm_request POST /v1/chat/completions "$FIRST_KEY" \
        "$(jq -nc --arg model "$MODEL" '{model: $model, messages: [{role: "user", content: "Hello"}]}')"
    [ "$STATUS" = 200 ] || refused "calling $MODEL with the key" || return 1
    echo "chat 200: model $MODEL answered a call with the key"
}

# litellm_request METHOD PATH KEY [JSON]: like request, to LiteLLM
litellm_request() {
    local arguments=()
    (umask 077 && printf 'authorization: Bearer %s\n' "$3" >"$STATE/litellm-authorization")
    if [ -n "${4:-}" ]; then arguments=(--header 'content-type: application/json' --data "$4"); fi
    STATUS=$(curl --silent --show-error --max-time 60 --request "$1" --output "$STATE/answer" \
        --header @"$STATE/litellm-authorization" --write-out '%{http_code}' ${arguments[@]+"${arguments[@]}"} \
        "$LITELLM_URL$2") || STATUS=000
}

# watch_stack: until Ctrl-C; fails when a part ends by itself
watch_stack() {
    while true; do
        check_stack
        sleep 1
    done
}

check_stack() {
    local part
    for part in litellm:"$LITELLM_PID" api:"$API_PID" worker:"$WORKER_PID"; do
        if [ -n "${part#*:}" ] && ! running "${part#*:}"; then
            show_log "${part%%:*}"
            die "${part%%:*} ended by itself"
        fi
    done
}
