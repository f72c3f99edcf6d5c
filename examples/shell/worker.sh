# A worker in shell: packs directories.
. ../../sdk/sh/magne-worker.sh # or a copy beside this file

# argument N prints the Nth argument of the task, a string without a quote in it.
# With jq: jq -r ".args[$1]" "$body"
argument() {
    sed -n 's/.*"args":\[\([^]]*\)\].*/\1/p' "$body" | cut -d '"' -f "$((2 * $1))"
}

# archive SOURCE TARGET packs a directory.
archive() {
    body=$(mktemp)
    trap 'rm -f "$body"' EXIT
    cat >"$body"
    source=$(argument 1)
    target=$(argument 2)
    [ -d "$source" ] || return 65 # dead-letter: it will not be there the next time
    magne_progress 1 "packing $source"
    tar -czf "$target.partial" -C "$source" .
    mv "$target.partial" "$target"
    echo "packed $source" # a line of the log
    printf '{"bytes":%d}' "$(wc -c <"$target")" >&4
}

magne_task archive
magne_run
