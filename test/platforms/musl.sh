#!/usr/bin/env bash
# Called by run.sh, in a mount namespace of its own: runs all tests with a Bun that is linked with musl.
# musl comes from Debian. Bun also needs a C++ library, and Debian has none for musl: it gets the system's own, and
# a small library with the few symbols of glibc that this one needs.
set -euo pipefail
folder=$1
cd "$(dirname "$0")/../.."

missing=()
[ -e /lib/ld-musl-x86_64.so.1 ] || missing+=(musl)
command -v musl-gcc >/dev/null || missing+=(musl-tools)
command -v g++ >/dev/null || missing+=(g++)
[ "${#missing[@]}" -eq 0 ] || { apt-get update -qq; apt-get install -y -qq "${missing[@]}" >/dev/null; }

bun add --silent --no-save --cwd "$folder" "@oven/bun-linux-x64-musl@$(bun --version)"
bun=$folder/node_modules/@oven/bun-linux-x64-musl/bin/bun

cp "$(g++ -print-file-name=libstdc++.so.6)" "$(g++ -print-file-name=libgcc_s.so.1)" "$folder/"
cp /lib/x86_64-linux-musl/libc.so "$folder/libc.musl-x86_64.so.1"
# musl's loader takes names like libc.so.6 for itself, but not this one, which libstdc++ asks for too.
musl-gcc -shared -fPIC -O1 -o "$folder/ld-linux-x86-64.so.2" -x c - <<'C'
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
char __libc_single_threaded = 0;
struct { unsigned vendor, type, subtype, features[1]; } __cpu_model;
int __cpu_indicator_init(void) { return 0; }
int __cxa_thread_atexit_impl(void (*destroy)(void *), void *object, void *library) { return 0; }
int _dl_find_object(void *address, void *result) { return -1; }
unsigned arc4random(void) { unsigned value; getrandom(&value, sizeof value, 0); return value; }
size_t __strftime_l(char *to, size_t size, const char *format, const struct tm *time, void *locale) { return strftime(to, size, format, time); }
C
# Where musl's loader looks for libraries: child processes then need no environment. Seen in this namespace only.
cat /etc/ld-musl-x86_64.path - <<<"$folder" >"$folder/loader-path"
mount --bind "$folder/loader-path" /etc/ld-musl-x86_64.path

ldd=$(/lib/ld-musl-x86_64.so.1 --list "$bun")
grep -q 'libc.musl-x86_64.so.1' <<<"$ldd" || { echo "this Bun is not linked with musl: $ldd"; exit 1; }
# The servers that replication is tested against are the same ones as without musl. The stores that the benchmark compares
# with are installed for glibc, so they do not load here.
"$bun" test --path-ignore-patterns 'test/replicate/servers/**' --path-ignore-patterns test/package/bench.test.ts
