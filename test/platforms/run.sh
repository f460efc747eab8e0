#!/usr/bin/env bash
# Runs the tests on the other platforms that Bun runs on: all of them with musl, the C library of Alpine, and on arm64,
# through QEMU, those that meet the C library and the kernel. `run.sh musl` or `run.sh arm64` runs one of the two.
# Needs root on Debian x64. Installs Debian packages; everything else is in a temp folder and a mount namespace, and
# gone at the end.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

fail() { echo "test:platforms: $1"; exit 1; }
skip() { [ "${CELLAR_NO_SKIP:-}" != 1 ] || fail "must not be skipped: $1"; echo "test:platforms: skipped: $1"; exit 0; }
[ "$(uname -sm)" = "Linux x86_64" ] || skip "needs Linux on x64"
[ "$(id -u)" = 0 ] || skip "needs root"
command -v apt-get >/dev/null || skip "needs apt-get, to install the packages of QEMU and musl"
unshare --mount true || skip "needs the right to make a mount namespace"
command -v bun >/dev/null || fail "needs bun: npm install -g bun"

# Each sets up Bun in a folder, and says by `tests` what is run with it.
platforms=("$@")
[ $# -gt 0 ] || platforms=(musl arm64)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0
for platform in "${platforms[@]}"; do
  [ -e "$here/$platform.sh" ] || fail "no platform $platform: musl or arm64"
  echo "== $platform"
  mkdir "$folder/$platform"
  unshare --mount bash "$here/$platform.sh" "$folder/$platform" || failed=$((failed + 1))
done
[ "$failed" -eq 0 ] || fail "$failed of ${#platforms[@]} platforms failed"
