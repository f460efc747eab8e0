#!/usr/bin/env bash
# Called by run.sh, in a mount namespace of its own: runs tests with Bun for arm64, through QEMU, about 10 times slower.
# QEMU answers some calls itself: tests of those say so and are skipped where CELLAR_EMULATED is set.
set -euo pipefail
folder=$1
cd "$(dirname "$0")/../.."

missing=()
command -v qemu-aarch64-static >/dev/null || missing+=(qemu-user-static)
command -v aarch64-linux-gnu-gcc >/dev/null || missing+=(gcc-aarch64-linux-gnu)
[ "${#missing[@]}" -eq 0 ] || { apt-get update -qq; apt-get install -y -qq "${missing[@]}" >/dev/null; }

bun add --silent --no-save --cpu arm64 --cwd "$folder" "@oven/bun-linux-aarch64@$(bun --version)"
bun=$folder/node_modules/@oven/bun-linux-aarch64/bin/bun

# Has the kernel run arm64 programs by QEMU.
binfmt=/proc/sys/fs/binfmt_misc
entry=cellar-arm64-$$
[ -e $binfmt/register ] || mount -t binfmt_misc binfmt_misc $binfmt
trap '[ ! -e $binfmt/$entry ] || echo -1 >$binfmt/$entry' EXIT
magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
printf '%s' ":$entry:M::$magic:$mask:/usr/bin/qemu-aarch64-static:F" >$binfmt/register
export QEMU_LD_PREFIX=/usr/aarch64-linux-gnu CELLAR_EMULATED=1
# For the test that compares constants with the C headers: those of arm64.
mkdir "$folder/bin"
ln -s "$(command -v aarch64-linux-gnu-gcc)" "$folder/bin/cc"
export PATH=$folder/bin:$PATH

[ "$("$bun" -p process.arch)" = arm64 ] || { echo "this Bun does not run as arm64"; exit 1; }
failed=0
"$bun" test --timeout 200000 test/os/abi.test.ts || failed=1
# QEMU keeps a table of all pages that were ever mapped, 400 MB for each mapping of 128 GiB. With fewer addresses the
# library maps less. Without it, opening 60 storages takes more memory than a machine of 24 GiB has.
export QEMU_RESERVED_VA=0x1000000000
left_out=(test/os/abi.test.ts test/region/large.test.ts test/region/close-safety.test.ts)
echo "left out: test/region/large.test.ts: QEMU has not the addresses that it needs"
echo "left out: test/region/close-safety.test.ts: starts and opens too much for QEMU: 1,000 storages, 40 processes"
ignore=()
for file in "${left_out[@]}"; do
  [ -e "$file" ] || { echo "there is no $file"; exit 1; }
  ignore+=(--path-ignore-patterns "$file")
done
"$bun" test --timeout 200000 --parallel=2 "${ignore[@]}" test/format test/os test/region test/storage || failed=1
# The tests that kill writers, and those that cannot run here, which say why.
"$bun" test test/crash/survive.test.ts -t '^(kill|error at each call|power cut|full disk: file size)' || failed=1
exit $failed
