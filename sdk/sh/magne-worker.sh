# Run shell functions as tasks of magne-actors (protocol MWP/1).
#
#     . ./magne-worker.sh
#
#     resize() {
#         width=$(jq -r '.args[1]')               # stdin: the body of the message
#         magne_progress 50 "have the width"
#         convert a.png -resize "$width" b.png || return 65
#         echo '{"path":"b.png"}' >&4             # the result; stdout is a log
#     }
#     magne_task resize                           # or: magne_task NAME FUNCTION
#     magne_run
#
# For any POSIX shell on Linux, with head and mktemp. A task runs in a subshell
# with set -e: it fails at the first command that fails. Its exit status is the
# verdict: 0 done, 75 retry (magne_retry SECONDS TEXT says when and why), 65 and 78
# dead-letter, anything else a failed attempt. Environment: MAGNE_TASK_ID,
# MAGNE_TASK_NAME, MAGNE_TASK_ATTEMPT, MAGNE_TASK_DEADLINE_MS (empty without a
# deadline) and MAGNE_TASK_HEADER, the frame's header, JSON.
#
# A shell waits for the commands it runs, so that it cannot be cancelled and sends
# no beats: a pool of shell workers has a hard timeout and no watchdog.

magne_tasks= # lines of NAME=FUNCTION
magne_names= # JSON strings with commas

# magne_task NAME [FUNCTION] registers a task.
magne_task() {
    case $1 in
    '' | *[!A-Za-z0-9_.:-]*)
        echo "magne_task: a name may have letters, digits and _.:- only: $1" >&2
        exit 78
        ;;
    esac
    magne_tasks="$magne_tasks
$1=${2:-$1}
"
    magne_names="$magne_names${magne_names:+,}\"$1\""
}

# magne_step TEXT says what the start of the worker is at.
magne_step() {
    magne_send "{\"t\":\"step\",\"msg\":\"$(magne_text "$1")\"}"
}

# magne_progress PERCENT [TEXT] says how far the task is.
magne_progress() {
    magne_send "{\"t\":\"progress\",\"id\":$MAGNE_TASK_ID,\"pct\":$1,\"msg\":\"$(magne_text "${2:-}")\"}"
}

# magne_log LEVEL TEXT is a line in the log, with the id of the task.
magne_log() {
    magne_send "{\"t\":\"log\",\"id\":${MAGNE_TASK_ID:-0},\"level\":\"$1\",\"msg\":\"$(magne_text "$2")\"}"
}

# magne_retry SECONDS [TEXT] ends the task: run it again after that time. That uses up
# no attempt.
magne_retry() {
    case $1 in
    0) magne_after=0 ;;
    '' | 0* | *[!0-9]*)
        echo "magne_retry: not a whole number of seconds: $1" >&2
        exit 78
        ;;
    *) magne_after=${1}000 ;;
    esac
    printf '%s' "$magne_after" >"$magne_dir/after"
    printf '%s' "${2:-}" >"$magne_dir/why"
    exit 75
}

# magne_bye TEXT asks to be replaced.
magne_bye() {
    magne_send "{\"t\":\"bye\",\"reason\":\"$(magne_text "$1")\"}"
}

# magne_run serves until the supervisor has no more for us.
magne_run() {
    magne_dir=$(mktemp -d) || exit 75
    trap 'rm -rf "$magne_dir"' EXIT
    set +e
    magne_send "{\"t\":\"hello\",\"proto\":1,\"tasks\":[$magne_names],\"concurrency\":1,\"sdk\":\"sh/0.1\",\"pid\":$$}"
    while IFS= read -r magne_line <&3; do
        magne_len=${magne_line##*\"len\":} # a len inside hdr is a string
        magne_len=${magne_len%%[!0-9]*}
        magne_body=/dev/null
        if [ "${magne_len:-0}" -gt 0 ]; then
            magne_body=$magne_dir/body
            head -c "$magne_len" <&3 >"$magne_body"
        fi
        # The supervisor writes t first, then id, then name.
        case $magne_line in
        '{"t":"task",'*) magne_serve ;;
        '{"t":"ping"'*)
            magne_number n
            magne_send "{\"t\":\"pong\",\"n\":${magne_value:-0}}"
            ;;
        '{"t":"drain"'*) break ;;
        esac
    done
    exit 0
}

magne_serve() {
    magne_number id
    MAGNE_TASK_ID=$magne_value
    MAGNE_TASK_NAME=${magne_line#*\"name\":\"}
    MAGNE_TASK_NAME=${MAGNE_TASK_NAME%%\"*}
    magne_number attempt
    MAGNE_TASK_ATTEMPT=$magne_value
    magne_number deadline_ms
    MAGNE_TASK_DEADLINE_MS=$magne_value
    MAGNE_TASK_HEADER=$magne_line
    export MAGNE_TASK_ID MAGNE_TASK_NAME MAGNE_TASK_ATTEMPT MAGNE_TASK_DEADLINE_MS MAGNE_TASK_HEADER
    if [ -e "$magne_dir/after" ]; then
        rm -f "$magne_dir/after" "$magne_dir/why"
    fi
    case $magne_tasks in
    *"
$MAGNE_TASK_NAME="*) ;;
    *)
        magne_error 65 "no task here"
        return
        ;;
    esac
    magne_function=${magne_tasks#*"
$MAGNE_TASK_NAME="}
    magne_function=${magne_function%%"
"*}
    (
        trap - EXIT
        magne_inside=1
        set -e
        "$magne_function"
    ) <"$magne_body" 3<&- 4>"$magne_dir/result" # no pipe of the protocol for what a task runs
    magne_code=$?
    case $magne_code in
    0)
        if [ -s "$magne_dir/result" ]; then
            printf '{"t":"ok","id":%d,"len":%d}\n' "$MAGNE_TASK_ID" "$(wc -c <"$magne_dir/result")" >&4
            cat "$magne_dir/result" >&4
        else
            magne_send "{\"t\":\"ok\",\"id\":$MAGNE_TASK_ID}"
        fi
        ;;
    75)
        magne_after=$(cat "$magne_dir/after" 2>/dev/null)
        magne_send "{\"t\":\"retry\",\"id\":$MAGNE_TASK_ID,\"after_ms\":${magne_after:-0},\"msg\":\"$(magne_text "$(cat "$magne_dir/why" 2>/dev/null)")\"}"
        ;;
    *) magne_error "$magne_code" "exit status $magne_code" ;;
    esac
}

# magne_error CODE TEXT replies that the task failed.
magne_error() {
    magne_permanent=false
    case $1 in 65 | 78) magne_permanent=true ;; esac
    magne_send "{\"t\":\"error\",\"id\":$MAGNE_TASK_ID,\"kind\":\"exit status $1\",\"msg\":\"$2\",\"permanent\":$magne_permanent}"
}

# magne_number KEY sets magne_value to the integer at a key of the header, or to
# nothing.
magne_number() {
    magne_value=
    case $magne_line in
    *"\"$1\":"*)
        magne_value=${magne_line#*\""$1"\":}
        magne_value=${magne_value%%[!0-9]*}
        ;;
    esac
}

# magne_text TEXT prints it as the inside of a JSON string of at most 1000
# characters: printable ASCII, because a shell cannot tell what is UTF-8.
magne_text() {
    printf '%.1000s' "$1" | tr '\n\t' '  ' | LC_ALL=C tr -cd '\040-\176' | sed 's/["\\]/\\&/g'
}

# magne_send writes one frame without a body, of at most 4096 bytes: they are
# written at once. Inside a task by name, because there fd 4 is the result.
magne_send() {
    if [ -n "${magne_inside:-}" ]; then
        printf '%s\n' "$1" >"/proc/$$/fd/4"
    else
        printf '%s\n' "$1" >&4
    fi
}

if [ "${MAGNE_PROTO:-}" != 1 ]; then
    echo 'This program is a worker of magne-actors: name it in the process.command of a pool and use "magne-actors run".' >&2
    exit 1
fi
if [ "${MAGNE_FD_IN:-3}" = 0 ]; then # transport stdio
    exec 3<&0 4>&1 </dev/null >&2
fi
