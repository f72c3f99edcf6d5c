. "$MAGNE_SDK/sh/magne-worker.sh"
set -u

magne_step "importing"
nothing() { :; }
echo_args() { sed 's/{"args"://; s/}$//' >&4; }
raw() { cat >&4; }
fail() { false; echo "not reached"; }
discard() { echo "no such user" >&2; return 65; }
again() { magne_retry 5 "rate limited"; }
talk() {
    echo '{"t":"ok","id":1}'
    magne_progress 40 "page 4/10"
    magne_log warning 'say "hi"'
}
fds() { ls -l /proc/self/fd >&4; }
for name in nothing raw fail discard talk fds; do
    magne_task "$name"
done
magne_task echo echo_args
magne_task retry again
magne_run
