#!/usr/bin/env bash
# The situations of the guides in this folder, and what nsview says of them. Containers are stood in for by nsview run,
# which gives them the ids, id maps and mounts that the engine of the guide would. A test holds the guides to what this
# prints.
#
# usage: docs/guides/guides.sh [NSVIEW]    (as root)
#
# It leaves nothing behind: everything lives in a temporary folder and in a mount namespace of its own, in which /etc is a
# copy with some users added.
set -euo pipefail

nsview=$(realpath -- "${1:-bin/nsview}")
if [ -z "${NSVIEW_GUIDES_INSIDE:-}" ]; then
	NSVIEW_GUIDES_INSIDE=1 exec unshare --mount --propagation private -- "$0" "$nsview"
fi
export LC_ALL=C TZ=UTC # for what ls, mkdir and the like say
umask 022

work=$(mktemp -d "${TMPDIR:-/tmp}/nsview-guides.XXXXXX")
chmod 0755 "$work"
running=()
cleanup() {
	kill "${running[@]}" 2>/dev/null || true
	wait 2>/dev/null || true
	umount /etc /srv /home 2>/dev/null || true
	rm -rf -- "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

guide() { printf '\n# %s\n' "$*"; }
# show COMMAND...: a command of the host, and what it answers. What nsview could not read of this host it says on stderr.
show() {
	printf '\n$ %s\n' "${*//$nsview/nsview}"
	"$@" || true
}

# The host: /srv and /home are of our own, and some users have names. All of /etc is a copy, not only two files of it: who
# adds a user to the host puts a new file in the place of /etc/passwd, which would take a mount on it away.
mkdir -p "$work/rootfs"/{etc,var/lib/mysql,srv,home/khope,data,run,dev,proc,bin} "$work/etc"
# Files of a moment, such as the locks of useradd, may be gone before they are copied.
cp -a /etc/. "$work/etc" 2>/dev/null || [ -s "$work/etc/passwd" ]
{ printf 'khope:x:1000:1000::/home/khope:/bin/sh\n'; grep -vE '^[^:]*:[^:]*:(112|999|1000):' /etc/passwd; } >"$work/etc/passwd"
{ printf 'khope:x:1000:\ndocker:x:998:\n'; grep -vE '^docker:|^[^:]*:[^:]*:(119|998|999|1000):' /etc/group; } >"$work/etc/group"
mount -t tmpfs -o mode=0755 none /srv
mount -t tmpfs -o mode=0755 none /home
mount --bind "$work/etc" /etc
printf 'root:x:0:0::/:/bin/sh\nmysql:x:999:999::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' >"$work/rootfs/etc/passwd"
printf 'root:x:0:\nmysql:x:999:\napp:x:1000:\ndocker:x:999:\nnogroup:x:65534:\n' >"$work/rootfs/etc/group"

# start NAME ARG...: a container, with nsview run's flags.
start() {
	name=$1
	shift
	if "$nsview" ps "$name" >/dev/null 2>&1; then
		echo "guides: this host has a container $name already" >&2
		exit 1
	fi
	flags=(--pid --mount --root "$work/rootfs" --bind /usr:/usr:ro --bind /lib:/lib:ro "${links[@]}" "$@")
	"$nsview" run --name "$name" "${flags[@]}" -- /usr/bin/sleep 600 >"$work/$name.log" 2>&1 &
	running+=("$!")
	for _ in $(seq 200); do
		"$nsview" ps "$name" 2>/dev/null | grep -q sleep && return
		sleep 0.05
	done
	echo "guides: $name did not start:" >&2
	cat "$work/$name.log" >&2
	exit 1
}
# inside COMMAND...: a command in a container like the one that was started last, and what it prints.
inside() {
	printf '\n%s$ %s\n' "$name" "$*"
	"$nsview" run "${flags[@]}" -- /usr/bin/env PATH=/usr/bin "$@" 2>&1 || true
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
inside touch /var/lib/mysql/ibdata1
show "$nsview" owner /srv/mariadb
show "$nsview" access db /var/lib/mysql/ibdata1 create
show chown -R 999:999 /srv/mariadb
show "$nsview" access db /var/lib/mysql/ibdata1 create
inside touch /var/lib/mysql/ibdata1
show "$nsview" access host --user khope /srv/mariadb/ibdata1 write
rm /srv/mariadb/ibdata1
chown -R 1000:1000 /srv/mariadb
show setfacl -m u:999:rwx -- /srv/mariadb
show setfacl -d -m u:999:rwx -- /srv/mariadb
show touch /srv/mariadb/my.cnf
show "$nsview" access db /var/lib/mysql/ibdata1 create
show "$nsview" access db /var/lib/mysql/my.cnf write
rm /srv/mariadb/my.cnf
setfacl -b -- /srv/mariadb
start db-as-owner --uid 1000 --gid 1000 --groups '' --bind /srv/mariadb:/var/lib/mysql
show "$nsview" access db-as-owner /var/lib/mysql/ibdata1 create
inside touch /var/lib/mysql/ibdata1

guide rootless: files of the host are nobody in a rootless container
mkdir -m 0755 /srv/shared
printf x >/srv/shared/config
touch -d '2026-01-02 03:04' /srv/shared/config
start box "${rootless[@]}" --bind /srv/shared:/srv
inside ls -l --time-style=long-iso /srv/config
inside chown 0:0 /srv/config
show "$nsview" owner /srv/shared/config
show "$nsview" map box 0 1000
show "$nsview" access box /srv/config write
show setfacl -m u:1000:rw -- /srv/shared/config
show "$nsview" access box /srv/config write
setfacl -b -- /srv/shared/config
show chown -R 1000:1000 /srv/shared
show "$nsview" access box /srv/config write
inside chown -R 5:5 /srv
show "$nsview" owner /srv/shared/config
chown -R 0:0 /srv/shared
start box-idmap "${rootless[@]}" --bind /srv/shared:/srv:idmap
show "$nsview" access box-idmap /srv/config write
inside ls -l --time-style=long-iso /srv/config

guide keep-id: a home of mode 0700
mkdir -m 0700 /home/khope
chown 1000:1000 /home/khope
start dev "${rootless[@]}" --uid 1000 --gid 1000 --groups '' --bind /home/khope:/home/khope
inside ls /home/khope
show "$nsview" access dev /home/khope chdir
start kept "${keepid[@]}" --uid 1000 --gid 1000 --groups '' --bind /home/khope:/home/khope
show "$nsview" map kept 1000
show "$nsview" access kept /home/khope chdir
inside touch /home/khope/made
start kept-999 --map-uid 999:1000:1 --map-uid 0:100000:999 --map-gid 999:1000:1 --map-gid 0:100000:999 --uid 999 --gid 999 --groups '' \
	--bind /home/khope:/home/khope
show "$nsview" access kept-999 /home/khope chdir
start dev-root "${rootless[@]}" --bind /home/khope:/home/khope
show "$nsview" access dev-root /home/khope chdir

guide kubernetes: hostPath, and an fsGroup that does nothing
mkdir -m 0755 /srv/node
start pod --uid 1000 --gid 1000 --groups 2000 --bind /srv/node:/data
inside mkdir /data/out
show "$nsview" access pod /data/out create
show "$nsview" ps -O pid,cpid,cuid,cgid,container pod
show chgrp 2000 /srv/node
show chmod g+rwxs /srv/node
show "$nsview" access pod /data/out create
inside mkdir /data/out
show "$nsview" owner /srv/node/out

guide userns-remap: root in the container may not write
mkdir -m 0755 /srv/app
start app "${remapped[@]}" --bind /srv/app:/data
inside mkdir /data/out
inside chown 0:0 /data
show "$nsview" access app /data/out create
show "$nsview" doctor app
show setfacl -m u:100000:rwx -- /srv/app
show "$nsview" access app /data/out create
setfacl -b -- /srv/app
show "$nsview" map app 0 999
show chown -R 100000:100000 /srv/app
show "$nsview" access app /data/out create
inside mkdir /data/out
rmdir /srv/app/out
chown -R 0:0 /srv/app
start app-host --bind /srv/app:/data
show "$nsview" access app-host /data/out create

guide socket: docker.sock and its group
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("/srv/docker.sock")' 2>/dev/null ||
	perl -MSocket -e 'socket(my $s, PF_UNIX, SOCK_STREAM, 0); bind($s, sockaddr_un("/srv/docker.sock"))'
chown 0:998 /srv/docker.sock
chmod 0660 /srv/docker.sock
: >"$work/rootfs/run/docker.sock"
start agent --uid 1000 --gid 1000 --groups 999 --bind /srv/docker.sock:/run/docker.sock
show "$nsview" owner /srv/docker.sock
show "$nsview" access agent /run/docker.sock connect
start agent-998 --uid 1000 --gid 1000 --groups 998 --bind /srv/docker.sock:/run/docker.sock
show "$nsview" access agent-998 /run/docker.sock connect

guide backup: a volume that was restored with the numbers of another host
mkdir -m 0750 /srv/restored /srv/restored/shop
printf x >/srv/restored/shop/items.ibd
chown -R 112:119 /srv/restored
start restored --uid 999 --gid 999 --groups '' --bind /srv/restored:/var/lib/mysql
inside cat /var/lib/mysql/shop/items.ibd
show "$nsview" owner -R /srv/restored
show "$nsview" access restored /var/lib/mysql/shop/items.ibd read
show chown -R --from=112:119 999:999 /srv/restored
show "$nsview" owner -R /srv/restored
show "$nsview" access restored /var/lib/mysql/shop/items.ibd read
inside cat /var/lib/mysql/shop/items.ibd
# An archive of a host on which 999 was called khope.
mkdir /srv/by-name /srv/by-number
tar -C /srv/restored --owner=khope:999 --group=khope:999 -cf /srv/shop.tar shop
show tar -C /srv/by-name -xf /srv/shop.tar
show tar -C /srv/by-number --numeric-owner -xf /srv/shop.tar
show stat -c %u:%g /srv/by-name/shop /srv/by-number/shop
