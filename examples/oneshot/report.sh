#!/bin/sh
# One task: how much disk space a directory needs. Nothing here knows of queues.
#
# stdin: {"args":["DIRECTORY","TARGET"]}. Environment: MAGNE_TASK, MAGNE_TASK_ID,
# MAGNE_ATTEMPT, MAGNE_QUEUE, MAGNE_HDR_*; the same as JSON on fd 3.
# Exit status: 0 done, 75 later, 65 or 78 never again, another one: failed.
set -eu
strings=$(sed -n 's/.*"args":\[\([^]]*\)\].*/\1/p') # with jq: jq -r '.args[]'
directory=$(printf '%s' "$strings" | cut -d '"' -f 2)
target=$(printf '%s' "$strings" | cut -d '"' -f 4)
if [ ! -d "$directory" ]; then
    echo "no directory $directory" >&2 # the reason in the dead-letter queue
    exit 65
fi
du -sk "$directory" >"$target.$$" || exit 75
mv "$target.$$" "$target"
echo "attempt $MAGNE_ATTEMPT of $MAGNE_TASK is done" # a line of the log
