#!/usr/bin/env bash
# The situations of the guides in this folder, and what nsview says of them. Containers are stood in for by nsview run,
# which gives them the ids, id maps and mounts that the engine of the guide would. A test holds the guides to what this
# prints.
#
# usage: docs/guides/guides.sh [NSVIEW]    (as root)
#
# It leaves nothing behind: everything lives in a temporary folder and in a mount namespace of its own, in which some users
# are added to a copy of /etc/passwd.
set -euo pipefail

nsview=$(realpath -- "${1:-bin/nsview}")
if [ -z "${NSVIEW_GUIDES_INSIDE:-}" ]; then
	NSVIEW_GUIDES_INSIDE=1 exec unshare --mount --propagation private -- "$0" "$nsview"
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/nsview-guides.XXXXXX")
chmod 0755 "$work"
running=()
cleanup() {
	kill "${running[@]}" 2>/dev/null || true
	wait 2>/dev/null || true
	umount /etc/passwd /etc/group /srv /home 2>/dev/null || true
	rm -rf -- "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

guide() { printf '\n# %s\n' "$*"; }
show() {
	printf '\n$ %s\n' "${*//$nsview/nsview}"
	"$@" 2>&1 || true
}

# The host: /srv and /home are of our own, and three users have names.
mkdir -p "$work/rootfs"/{etc,var/lib/mysql,srv,home/khope,data,run,dev,proc,bin}
mount -t tmpfs -o mode=0755 none /srv
mount -t tmpfs -o mode=0755 none /home
{ printf 'khope:x:1000:1000::/home/khope:/bin/sh\n'; grep -vE '^[^:]*:[^:]*:(1000|112|999):' /etc/passwd; } >"$work/passwd"
{ printf 'khope:x:1000:\ndocker:x:998:\n'; grep -vE '^[^:]*:[^:]*:(1000|998|999|119):' /etc/group; } >"$work/group"
mount --bind "$work/passwd" /etc/passwd
mount --bind "$work/group" /etc/group
printf 'root:x:0:0::/:/bin/sh\nmysql:x:999:999::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n' >"$work/rootfs/etc/passwd"
printf 'root:x:0:\nmysql:x:999:\napp:x:1000:\ndocker:x:999:\n' >"$work/rootfs/etc/group"

# start NAME ARG...: a container, with nsview run's flags.
start() {
	local name=$1
	shift
	if "$nsview" ps "$name" >/dev/null 2>&1; then
		echo "guides: this host has a container $name already" >&2
		exit 1
	fi
	"$nsview" run --name "$name" --pid --mount --root "$work/rootfs" --bind /usr:/usr:ro --bind /lib:/lib:ro "${links[@]}" "$@" -- /usr/bin/sleep 600 >"$work/$name.log" 2>&1 &
	running+=("$!")
	for _ in $(seq 200); do
		"$nsview" ps "$name" 2>/dev/null | grep -q sleep && return
		sleep 0.05
	done
	echo "guides: $name did not start:" >&2
	cat "$work/$name.log" >&2
	exit 1
}
links=()
mkdir -p "$work/rootfs"/{usr,lib}
if [ -d /lib64 ]; then
	mkdir -p "$work/rootfs/lib64"
	links=(--bind /lib64:/lib64:ro)
fi
remapped=(--map-uid 0:100000:65536 --map-gid 0:100000:65536)
rootless=(--map-uid 0:1000:1 --map-uid 1:100000:65536 --map-gid 0:1000:1 --map-gid 1:100000:65536)
keepid=(--map-uid 1000:1000:1 --map-uid 0:100000:1000 --map-gid 1000:1000:1 --map-gid 0:100000:1000)

guide mariadb: a bind mount that the database may not write
mkdir -m 0755 /srv/mariadb
chown 1000:1000 /srv/mariadb
start db --uid 999 --gid 999 --groups '' --bind /srv/mariadb:/var/lib/mysql
show "$nsview" owner /srv/mariadb
show "$nsview" access db /var/lib/mysql/ibdata1 create

guide rootless: files of the host are nobody in a rootless container
mkdir -m 0755 /srv/shared
printf x >/srv/shared/config
start box "${rootless[@]}" --bind /srv/shared:/srv
show "$nsview" owner /srv/shared/config
show "$nsview" map box 0 1000
show "$nsview" access box /srv/config write

guide keep-id: a home of mode 0700
mkdir -m 0700 /home/khope
chown 1000:1000 /home/khope
start dev "${rootless[@]}" --uid 1000 --gid 1000 --groups '' --bind /home/khope:/home/khope
show "$nsview" access dev /home/khope chdir
start kept "${keepid[@]}" --uid 1000 --gid 1000 --groups '' --bind /home/khope:/home/khope
show "$nsview" map kept 1000
show "$nsview" access kept /home/khope chdir

guide kubernetes: hostPath, and an fsGroup that does nothing
mkdir -m 0755 /srv/node
start pod --uid 1000 --gid 1000 --groups 2000 --bind /srv/node:/data
show "$nsview" access pod /data/out create
show "$nsview" ps -O pid,cpid,cuid,cgid,container pod

guide userns-remap: root in the container may not write
mkdir -m 0755 /srv/app
start app "${remapped[@]}" --bind /srv/app:/data
show "$nsview" access app /data/out create
show "$nsview" doctor app

guide socket: docker.sock and its group
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("/srv/docker.sock")' 2>/dev/null ||
	perl -MSocket -e 'socket(my $s, PF_UNIX, SOCK_STREAM, 0); bind($s, sockaddr_un("/srv/docker.sock"))'
chown 0:998 /srv/docker.sock
chmod 0660 /srv/docker.sock
: >"$work/rootfs/run/docker.sock"
start agent --uid 1000 --gid 1000 --groups 999 --bind /srv/docker.sock:/run/docker.sock
show "$nsview" owner /srv/docker.sock
show "$nsview" access agent /run/docker.sock connect

guide backup: a volume that was restored with the numbers of another host
mkdir -m 0750 /srv/restored /srv/restored/shop
printf x >/srv/restored/shop/items.ibd
chown -R 112:119 /srv/restored
start restored --uid 999 --gid 999 --groups '' --bind /srv/restored:/var/lib/mysql
show "$nsview" owner -R /srv/restored
show "$nsview" access restored /var/lib/mysql/shop/items.ibd read
