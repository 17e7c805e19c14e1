#!/bin/sh
# go generate: compiles trace.bpf.c for each architecture. The objects are committed, so that nothing else needs clang; with
# another clang than the one below they would differ in bytes that mean nothing, so then they are left as they are.
set -eu
cd "$(dirname "$0")"
want=14.0.6
have=$(clang --version 2>/dev/null | sed -n 's/.*version \([0-9.]*\).*/\1/p' | head -n 1)
if [ "$have" != "$want" ] || ! command -v llvm-strip >/dev/null || [ ! -e /usr/include/bpf/bpf_helpers.h ]; then
	echo "generate: left out trace.bpf.c, which takes clang $want (here: ${have:-none}), llvm and libbpf-dev" >&2
	exit 0
fi
for arch in x86:amd64 arm64:arm64; do
	object=trace_${arch#*:}.o
	clang -O2 -g -Wall -Werror -target bpfel -mcpu=v3 "-D__TARGET_ARCH_${arch%:*}" "-ffile-prefix-map=$PWD=." -c trace.bpf.c -o "$object"
	llvm-strip -g "$object"
done
