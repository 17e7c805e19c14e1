#!/bin/bash
# The experiment nsview began with, with nothing installed: two containers, each with a folder of the host as its volume.
# One file belongs to two names, one process has two PIDs, and nsview shows both sides at once.
#
# usage: docs/demo.sh [NSVIEW]    (make demo builds it first)
#
# It leaves nothing behind: everything lives in a temporary folder, and as root in a mount namespace of its own, where /etc is
# a copy with a user khope added.
set -euo pipefail

nsview=$(realpath -- "${1:-bin/nsview}")

# As root, once more in a private mount namespace in which uid 1000 has a name.
if [ "$(id -u)" = 0 ] && [ -z "${NSVIEW_DEMO_INSIDE:-}" ]; then
	NSVIEW_DEMO_INSIDE=1 exec unshare --mount --propagation private -- "$0" "$nsview"
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/nsview-demo.XXXXXX")
chmod 0755 "$work"
running=()
cleanup() {
	kill "${running[@]}" 2>/dev/null || true
	wait 2>/dev/null || true
	if [ "$(id -u)" = 0 ]; then
		umount /etc 2>/dev/null || true
	fi
	rm -rf -- "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n# %s\n' "$*"; }
show() {
	printf '$ %s\n' "${*//$nsview/nsview}"
	"$@" || true
}

# copy_program NAME...: the host's own programs into the root file system, with the libraries they need.
copy_program() {
	local name path library
	for name in "$@"; do
		path=$(type -P "$name") || continue
		install -D -m 0755 "$path" "$root/bin/$name"
		for library in $(ldd "$path" 2>/dev/null | grep -oE '/[^ )]+' || true); do
			[ -e "$root$library" ] || install -D -m 0755 "$library" "$root$library"
		done
	done
}

wait_for() {
	for _ in $(seq 100); do
		[ -e "$1" ] && return
		sleep 0.1
	done
	echo "demo: $1 did not appear within 10 seconds:" >&2
	cat "$work"/*.log >&2
	exit 1
}

root=$work/rootfs
mkdir -p "$root"/{proc,dev,tmp,etc,var/lib/mysql,var/www/html,var/www/raw}
copy_program sh ls ps sleep touch cat
chmod 0755 "$root"
printf 'root:x:0:0::/:/bin/sh\nctr:x:%s:%s::/:/bin/sh\n' 1000 1000 >"$root/etc/passwd"
printf 'root:x:0:\nctr:x:1000:\n' >"$root/etc/group"

mkdir -p "$work/data/wordpress" "$work/data/mariadb"
cd "$work/data"
# What a container runs: touch a file in its volume, look at it and at its processes, then stay.
inside='touch file.txt; ls -l file.txt; echo; ps -eo pid,user,comm; : >/tmp/%s.ready; exec sleep 600'

start() {
	local name=$1
	shift
	mkdir -p "$work/tmp-$name"
	# shellcheck disable=SC2059 # the format is ours
	"$nsview" run --name "$name" --mount-proc --uts --ipc --root "$root" --bind "$work/tmp-$name:/tmp" "$@" \
		-- /bin/sh -c "$(printf "$inside" "$name")" >"$work/$name.log" 2>&1 &
	running+=("$!")
	wait_for "$work/tmp-$name/$name.ready"
}

if [ "$(id -u)" = 0 ]; then
	# khope is uid and gid 1000, in a copy of /etc that only this mount namespace sees. A mount on /etc/passwd alone would be
	# gone once somebody adds a user to the host, which puts a new file in its place. Files of a moment, such as the locks
	# of useradd, may be gone before they are copied.
	mkdir "$work/etc"
	cp -a /etc/. "$work/etc" 2>/dev/null || [ -s "$work/etc/passwd" ]
	for table in passwd group; do
		grep -vE '^[^:]*:[^:]*:1000:' "/etc/$table" >"$work/etc/$table"
	done
	echo 'khope:x:1000:1000::/:/bin/sh' >>"$work/etc/passwd"
	echo 'khope:x:1000:' >>"$work/etc/group"
	mount --bind "$work/etc" /etc
	chown 1000:1000 "$work/data" "$work/data"/*
	mkdir -m 1777 "$work/tmp-mariadb" "$work/tmp-wordpress"
	# mariadb shares the host's ids. wordpress has its own, 0-65535 inside are 100000-165535 outside; the idmapped mount
	# lets it share the folder all the same, and /var/www/raw is the folder without one.
	start mariadb --uid 1000 --gid 1000 --bind "$work/data/mariadb:/var/lib/mysql" --workdir /var/lib/mysql
	start wordpress --map-uid 0:100000:65536 --map-gid 0:100000:65536 --uid 1000 --gid 1000 \
		--bind "$work/data/wordpress:/var/www/html:idmap" --bind "$work/data/wordpress:/var/www/raw" --workdir /var/www/html
	containers=(mariadb wordpress)
else
	sed -i "s/:1000:/:$(id -u):/; s/ctr:x:\([0-9]*\):1000/ctr:x:\1:$(id -g)/" "$root/etc/passwd"
	printf 'root:x:0:\nctr:x:%s:\n' "$(id -g)" >"$root/etc/group"
	start mariadb --map-current --bind "$work/data/mariadb:/var/lib/mysql" --workdir /var/lib/mysql
	containers=(mariadb)
	echo "demo: as $(id -un), not as root: left out wordpress, whose idmapped mount needs root" >&2
fi

# Their names alone, unless other containers of this host are called so too.
targets=()
for name in "${containers[@]}"; do
	"$nsview" ps "$name" >/dev/null 2>&1 || name=nsview:$name
	targets+=("$name")
done

say 'Inside the containers: ls -l and ps say'
for name in "${containers[@]}"; do
	printf '%s:\n' "$name"
	sed 's/^/  /' "$work/$name.log"
done

say 'On the host, ls -l says of the same files'
show ls -l "${containers[@]/%//file.txt}"

say 'nsview owner: each file as the host and as every container that sees it'
show "$nsview" owner "${containers[@]/%//file.txt}"

say 'nsview access: may a container do it, which check of the kernel decides, and what would change that'
if [ "${#containers[@]}" = 2 ]; then
	show "$nsview" access "${targets[1]}" /var/www/html/file.txt write
	echo
	show "$nsview" access "${targets[1]}" /var/www/raw/file.txt write
else
	show "$nsview" access "${targets[0]}" /var/lib/mysql/file.txt write
fi

say 'nsview ps: each process with both PIDs and both users'
show "$nsview" ps "${targets[@]}"

say 'nsview ps --tree: who started them'
show "$nsview" ps --tree "${targets[@]}"

say 'nsview doctor: the same question for every volume of a container'
show "$nsview" doctor "${targets[-1]}"

say 'nsview map: what an id is on the other side'
show "$nsview" map "${targets[-1]}" 0 1000

say 'nsview ns: the namespaces that a container is in'
show "$nsview" ns "${targets[-1]}"

say 'nsview diff: what the host and a container share'
show "$nsview" diff host "${targets[-1]}"
