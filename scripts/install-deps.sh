#!/usr/bin/env bash
# Installs what the tests and the demo need beside Go: RabbitMQ, the Python clients
# pika, kombu and Celery, Node.js with npm, systemd-analyze, with --race gcc as well.
# Quick and silent when everything is there. Debian and its relatives only; elsewhere
# it says what is missing.
set -euo pipefail

race=
case "${1:-}" in
"") ;;
--race) race=1 ;;
*)
	echo "usage: $0 [--race]" >&2
	exit 2
	;;
esac

need=()
# rabbitmq-server is in /usr/sbin, which is not on everybody's PATH.
PATH=$PATH:/usr/sbin:/sbin command -v rabbitmq-server >/dev/null || need+=(rabbitmq-server)
# Debian's own Python: one from pyenv does not see Debian's modules.
for module in pika kombu celery; do
	/usr/bin/python3 -c "import $module" 2>/dev/null || need+=("python3-$module")
done
# The SDKs and the examples of worker processes.
for program in python3 bash; do
	command -v "$program" >/dev/null || need+=("$program")
done
command -v node >/dev/null || need+=(nodejs)
command -v npm >/dev/null || need+=(npm)
# systemd-analyze looks at the unit that we ship.
command -v systemd-analyze >/dev/null || need+=(systemd)
if [ -n "$race" ] && ! command -v gcc >/dev/null; then
	need+=(gcc libc6-dev)
fi
[ ${#need[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "missing, and there is no apt-get to install it: ${need[*]}" >&2
	exit 1
fi
root=()
if [ "$(id -u)" -ne 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "missing; as root run: apt-get install ${need[*]}" >&2
		exit 1
	fi
	root=(sudo)
fi

# Tests start nodes of their own, so it does not matter whether the package may
# start its service (policy-rc.d, no systemd).
install() {
	"${root[@]}" env DEBIAN_FRONTEND=noninteractive \
		apt-get -o DPkg::Lock::Timeout=300 -qq -y --no-install-recommends install "${need[@]}"
}
echo "installing ${need[*]}" >&2
if ! install; then
	"${root[@]}" apt-get -qq update # the usual cause: no package lists yet
	install
fi
