# shellcheck shell=bash
# What the scripts in ops/ share. Sourced, never run:
#
#   source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
#
# Everything started here is registered, and ended by its own id when the script ends, however that happens.
#
# shellcheck disable=SC2034 # what is set here is read by the scripts

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
STATE=''          # a directory of this run, removed at the end
STARTED=()        # "pid signal seconds name", in the order of their start
AT_END=()         # functions to call first at the end
PORTS=()          # ports handed out by free_port
STARTED_AT=$SECONDS

# --- words -------------------------------------------------------------------------------------

say() { printf '==> %s\n' "$*" >&2; }
note() { printf '    %s\n' "$*" >&2; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# usage FILE: the comment at the top of a script
usage() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p;}' "$1"; }

# --- beginning and end -------------------------------------------------------------------------

# begin NAME: makes the directory of this run and takes care of the end
begin() {
    STATE=$(mktemp -d "${TMPDIR:-/tmp}/litemaas-$1.XXXXXX")
    chmod 711 "$STATE"
    trap finish EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
}

finish() {
    local status=$? index
    trap - EXIT
    trap '' INT TERM HUP
    for index in ${AT_END[@]+"${AT_END[@]}"}; do "$index" || true; done
    if [ "${#STARTED[@]}" -gt 0 ]; then say "stopping what was started"; fi
    for ((index = ${#STARTED[@]} - 1; index >= 0; index--)); do
        # shellcheck disable=SC2086 # four words
        stop_registered ${STARTED[index]}
    done
    if [ -n "$STATE" ]; then rm -rf -- "$STATE"; fi
    exit "$status"
}

# register PID [SIGNAL] [SECONDS] [NAME]: to be ended at the end, with that signal and that patience
register() { STARTED+=("$1 ${2:-TERM} ${3:-15} ${4:-process}"); }

# unregister PID: it has ended
unregister() {
    local kept=() entry
    for entry in "${STARTED[@]}"; do
        [ "${entry%% *}" = "$1" ] || kept+=("$entry")
    done
    STARTED=(${kept[@]+"${kept[@]}"})
}

# stop_registered PID SIGNAL SECONDS NAME
stop_registered() {
    local pid=$1 signal=$2 seconds=$3 name=$4 tenth member
    kill "-$signal" "$pid" 2>/dev/null || true
    for ((tenth = 0; tenth < seconds * 10; tenth++)); do
        running "$pid" || break
        sleep 0.1
    done
    if running "$pid"; then note "$name (process $pid) did not stop within $seconds s and is killed"; fi
    # The compiler's and the test runner's own helpers do not always end with them.
    for member in "$pid" $(session_members "$pid"); do
        kill -KILL "$member" 2>/dev/null || true
    done
    wait "$pid" 2>/dev/null || true
}

# session_members PID: the processes of the session that PID leads
session_members() {
    # After the program's name in brackets: state, parent, group, session. Processes may vanish while they are read.
    { cat /proc/[0-9]*/stat 2>/dev/null || true; } |
        awk -v session="$1" '{ id = $1; sub(/^.*\) /, ""); if ($4 == session) print id }'
}

# stop PID: ends one registered process now
stop() {
    local entry
    for entry in "${STARTED[@]}"; do
        # shellcheck disable=SC2086 # four words
        if [ "${entry%% *}" = "$1" ]; then stop_registered $entry; fi
    done
    unregister "$1"
}

# running PID: whether it is there and not merely a zombie
running() {
    local state
    state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) || return 1
    [ -n "$state" ] && [ "$state" != Z ]
}

# start NAME COMMAND...: in the background, in a process group of its own, with its output in $STATE/NAME.log;
# the id is in $PID
start() {
    local name=$1
    shift
    setsid "$@" >"$STATE/$name.log" 2>&1 </dev/null &
    PID=$!
    register "$PID" TERM 15 "$name"
}

# run_logged NAME COMMAND...: like start, and waits; every ten seconds it says how far it is
run_logged() {
    local name=$1 begun=$SECONDS said=0 status=0 line
    start "$@"
    local pid=$PID
    while running "$pid"; do
        sleep 0.2
        if ((SECONDS - begun - said >= 10)); then
            said=$((SECONDS - begun))
            line=$(progress_line "$STATE/$name.log")
            note "$said s: ${line:-working}"
        fi
    done
    wait "$pid" || status=$?
    unregister "$pid"
    return "$status"
}

# progress_line FILE: the last line that tells how far something is
progress_line() {
    { tail -c 4000 "$1" | tr '\r' '\n' |
        grep -E '^\[[0-9]+/[0-9]+\]|^(Fetch|Creat|Comput|Build|Work|Get:|Unpack|Sett|Collect|Install|✔|✘)' || true; } |
        tail -n 1 | cut -c1-100
}

# show_log NAME [LINES]
show_log() {
    [ -s "$STATE/$1.log" ] || return 0
    note "the last lines of $1:"
    tail -n "${2:-30}" "$STATE/$1.log" | cut -c1-400 | sed 's/^/    | /' >&2
}

# --- what is needed ----------------------------------------------------------------------------

has() { command -v "$1" >/dev/null 2>&1; }

# What commands of root are begun with.
AS_ROOT=()
if [ "$(id -u)" != 0 ]; then AS_ROOT=(sudo -n --); fi

# need_packages PACKAGE...: installs the Debian packages that are missing
need_packages() {
    local package missing=()
    has dpkg-query || {
        note "this is no Debian or Ubuntu: taking for granted that these are there: $*"
        return 0
    }
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
        die "these packages are missing and only root can install them: sudo apt-get install ${missing[*]}"
    fi
    say "installing the missing packages: ${missing[*]}"
    keep_postgresql_quiet
    run_logged apt ${AS_ROOT[@]+"${AS_ROOT[@]}"} apt-get update -qq || note "the package lists could not be refreshed; trying with the old ones"
    run_logged apt ${AS_ROOT[@]+"${AS_ROOT[@]}"} env DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1 apt-get install -y -qq \
        --no-install-recommends -o Dpkg::Options::=--force-confold "${missing[@]}" || {
        show_log apt
        die "the packages could not be installed: ${missing[*]}"
    }
}

# Debian's package creates and starts a server of its own; only its programs are wanted here.
keep_postgresql_quiet() {
    local file=/etc/postgresql-common/createcluster.conf
    [ -e "$file" ] && return 0
    ${AS_ROOT[@]+"${AS_ROOT[@]}"} mkdir -p "$(dirname "$file")"
    echo 'create_main_cluster = false' | ${AS_ROOT[@]+"${AS_ROOT[@]}"} tee "$file" >/dev/null
}

need_swift() {
    has swift || die "the Swift toolchain is missing (6.3 or later): see https://www.swift.org/install/linux/"
    need_packages libpq-dev libcurl4-openssl-dev libssl-dev pkg-config
}

# need_browser: in $CHROMIUM
need_browser() {
    find_browser && return 0
    need_packages chromium
    find_browser || die "no browser was found"
}

find_browser() {
    local candidate
    for candidate in chromium chromium-browser google-chrome; do
        if has "$candidate"; then
            CHROMIUM=$(command -v "$candidate")
            return 0
        fi
    done
    return 1
}

# make_environment PACKAGE==VERSION...: a Python with these packages, for this run unless VENV keeps it; in $PYTHON
make_environment() {
    local venv=${VENV:-$STATE/venv}
    need_packages python3 python3-venv
    say "installing $*"
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    run_logged pip "$venv/bin/pip" install --quiet --disable-pip-version-check "$@" || {
        show_log pip
        die "the Python packages could not be installed"
    }
    PYTHON=$venv/bin/python
}

need_postgresql() {
    find_postgresql && return 0
    need_packages postgresql
    find_postgresql || die "PostgreSQL's initdb and pg_ctl were not found; PG_BIN can name their directory"
}

find_postgresql() {
    local candidate
    for candidate in "${PG_BIN:-}" "$(pg_config --bindir 2>/dev/null || true)" /usr/lib/postgresql/*/bin /usr/local/pgsql/bin; do
        if [ -n "$candidate" ] && [ -x "$candidate/initdb" ] && [ -x "$candidate/pg_ctl" ]; then
            PG_BIN=$candidate
            return 0
        fi
    done
    return 1
}

# random_text BYTES: in base64, on one line
random_text() { head -c "$1" /dev/urandom | base64 -w 0; }

# free_port: in $PORT_FOUND, a port of the loopback interface that nothing listens on
free_port() {
    local attempt port
    for ((attempt = 0; attempt < 200; attempt++)); do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        case " ${PORTS[*]-} " in *" $port "*) continue ;; esac
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            PORTS+=("$port")
            PORT_FOUND=$port
            return 0
        fi
    done
    die "no free port was found"
}

# port_is_free PORT
port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# wait_for_http URL SECONDS PID NAME: until the URL answers 2xx; fails when the process ends first
wait_for_http() {
    local url=$1 seconds=$2 pid=$3 name=$4 until=$((SECONDS + $2))
    while ((SECONDS < until)); do
        if curl --silent --fail --noproxy '*' --max-time 2 --output /dev/null "$url"; then return 0; fi
        running "$pid" || {
            show_log "$name"
            die "$name ended before it answered"
        }
        sleep 0.1
    done
    show_log "$name"
    die "$name did not answer at $url within $seconds s"
}

# --- PostgreSQL --------------------------------------------------------------------------------

# PostgreSQL refuses to run as root: then an account without rights runs it.
postgres_account() {
    if [ "$(id -u)" != 0 ]; then
        PG_ACCOUNT=''
        return 0
    fi
    PG_ACCOUNT=postgres
    id "$PG_ACCOUNT" >/dev/null 2>&1 || useradd --system --no-create-home --shell /usr/sbin/nologin "$PG_ACCOUNT"
}

# as_postgres COMMAND...: from a directory that the account can enter
as_postgres() {
    if [ -n "$PG_ACCOUNT" ]; then
        (cd / && runuser -u "$PG_ACCOUNT" -- "$@")
    else
        (cd / && "$@")
    fi
}

# start_postgresql: a private server for this run; its URL without a database is in $PG_URL. Its data live as long as
# the script, so it does not wait for the disk, unless PG_FSYNC=on.
start_postgresql() {
    need_postgresql
    postgres_account
    local data=$STATE/pg/data password
    password=$(random_text 18 | tr '+/' '-_')
    mkdir -p "$STATE/pg"
    (umask 077 && printf '%s\n' "$password" >"$STATE/pg/password")
    if [ -n "$PG_ACCOUNT" ]; then chown -R "$PG_ACCOUNT" "$STATE/pg"; fi
    say "starting a private PostgreSQL"
    as_postgres "$PG_BIN/initdb" -D "$data" -U postgres -A scram-sha-256 --pwfile "$STATE/pg/password" \
        -E UTF8 --no-locale >"$STATE/initdb.log" 2>&1 || {
        show_log initdb
        die "PostgreSQL's initdb failed"
    }
    local attempt
    for attempt in 1 2 3; do
        free_port
        # No socket files: only the port.
        if as_postgres "$PG_BIN/pg_ctl" -D "$data" -l "$data/server.log" -w -t 60 start -o "-p $PORT_FOUND \
            -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c timezone=UTC -c fsync=${PG_FSYNC:-off} \
            -c max_connections=300 -c shared_buffers=128MB" >/dev/null 2>&1; then
            break
        fi
        cp "$data/server.log" "$STATE/postgresql.log" 2>/dev/null || true
        [ "$attempt" -lt 3 ] || {
            show_log postgresql
            die "PostgreSQL did not start"
        }
    done
    # INT is PostgreSQL's fast shutdown.
    register "$(head -n 1 "$data/postmaster.pid")" INT 20 postgresql
    PG_URL="postgresql://postgres:$password@127.0.0.1:$PORT_FOUND"
    note "PostgreSQL listens on 127.0.0.1:$PORT_FOUND"
}

# restart_postgresql: as after a crash
restart_postgresql() {
    local data=$STATE/pg/data pid
    pid=$(head -n 1 "$data/postmaster.pid")
    note "pg_ctl restart -m immediate"
    as_postgres "$PG_BIN/pg_ctl" -D "$data" -l "$data/server.log" -m immediate -w -t 60 restart >/dev/null 2>&1 || {
        cp "$data/server.log" "$STATE/postgresql.log"
        show_log postgresql
        die "PostgreSQL did not start again"
    }
    unregister "$pid"
    register "$(head -n 1 "$data/postmaster.pid")" INT 20 postgresql
}

# find_litellm: a script that starts a real LiteLLM, with a `stop` beside it; in $LITELLM_START
find_litellm() {
    local candidate
    for candidate in "${LITELLM_START:-}" "$REPO"/../*/litellm/start; do
        if [ -n "$candidate" ] && [ -x "$candidate" ] && [ -x "$(dirname "$candidate")/stop" ]; then
            LITELLM_START=$candidate
            return 0
        fi
    done
    return 1
}

# --- building ----------------------------------------------------------------------------------

# build [swift build options]: with progress; the programs are in $BIN
build() {
    local begun=$SECONDS status
    say "building (swift build${*:+ $*}); the first time takes some minutes"
    run_logged build swift build --package-path "$REPO" "$@" || {
        status=$?
        grep -E 'error:' "$STATE/build.log" | sort -u | head -n 20 | sed 's/^/    | /' >&2 || true
        show_log build 15
        die "the build failed (status $status)"
    }
    BIN=$(swift build --package-path "$REPO" "$@" --show-bin-path 2>/dev/null)
    note "built in $((SECONDS - begun)) s"
}
