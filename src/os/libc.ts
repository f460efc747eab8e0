/**
 * The only file that imports `bun:ffi`. It has one declaration for each symbol, with its C prototype, and no logic.
 * 64-bit values become numbers here. Nothing is loaded before the first call of `libc()`.
 */

import { dlopen, FFIType, type Pointer, ptr as pointerTo, read, toArrayBuffer } from "bun:ffi";
import { StorageError } from "../error.ts";

/** A native address. */
export type Address = number;
/** An argument for a C pointer: an address, or bytes, whose memory is passed. */
type Memory = Address | NodeJS.TypedArray | DataView;

/**
 * The C functions that Cellar calls. A result of `-1` means that the call failed: read {@link Libc.errno} straight
 * after.
 */
export interface Libc {
  /** `void *mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)`; -1 is MAP_FAILED */
  mmap(address: Address, lengthBytes: number, prot: number, flags: number, fd: number, offset: number): Address;
  /** `int munmap(void *addr, size_t length)` */
  munmap(address: Address, lengthBytes: number): number;
  /** `int msync(void *addr, size_t length, int flags)` */
  msync(address: Address, lengthBytes: number, flags: number): number;
  /** `int madvise(void *addr, size_t length, int advice)` */
  madvise(address: Address, lengthBytes: number, advice: number): number;
  /** `void *memcpy(void *dest, const void *src, size_t n)` */
  memcpy(target: Memory, source: Memory, lengthBytes: number): void;
  /** `int lockf(int fd, int cmd, off_t len)` */
  lockf(fd: number, command: number, lengthBytes: number): number;
  /** `int flock(int fd, int operation)` */
  flock(fd: number, operation: number): number;
  /** `int ftruncate(int fd, off_t length)` */
  ftruncate(fd: number, lengthBytes: number): number;
  /** `ssize_t pwrite(int fd, const void *buf, size_t count, off_t offset)` */
  pwrite(fd: number, bytes: NodeJS.TypedArray, lengthBytes: number, offset: number): number;
  /** `off_t lseek(int fd, off_t offset, int whence)` */
  lseek(fd: number, offset: number, whence: number): number;
  /** `long sysconf(int name)` */
  sysconf(name: number): number;
  /** `int getrlimit(int resource, struct rlimit *rlim)` */
  getrlimit(resource: number, limit: NodeJS.TypedArray): number;
  /** `int linkat(int olddirfd, const char *oldpath, int newdirfd, const char *newpath, int flags)` */
  linkat(
    fromDirectory: number,
    from: NodeJS.TypedArray,
    toDirectory: number,
    to: NodeJS.TypedArray,
    flags: number,
  ): number;
  /** `int fallocate(int fd, int mode, off_t offset, off_t len)`: Linux only */
  fallocate(fd: number, mode: number, offset: number, lengthBytes: number): number;
  /**
   * `int fcntl(int fd, int cmd, struct flock *lock)`: Linux only (variadic: Apple Silicon passes such arguments
   * differently)
   */
  fcntl(fd: number, command: number, lock: NodeJS.TypedArray): number;
  /** `int inotify_init1(int flags)`: Linux only, as the two below */
  inotify_init1(flags: number): number;
  /** `int inotify_add_watch(int fd, const char *path, unsigned int mask)` */
  inotify_add_watch(fd: number, path: NodeJS.TypedArray, mask: number): number;
  /** `int inotify_rm_watch(int fd, int wd)` */
  inotify_rm_watch(fd: number, watch: number): number;
  /** `int ioctl(int fd, unsigned long request, int *argument)`: Linux only (variadic, as fcntl) */
  ioctl(fd: number, request: number, argument: NodeJS.TypedArray): number;
  /**
   * `long syscall(long number, int olddirfd, const char *oldpath, int newdirfd, const char *newpath, int flags)`: Linux
   * only, and only for `renameat2`, which musl has no function for.
   */
  syscall(
    number: number,
    fromDirectory: number,
    from: NodeJS.TypedArray,
    toDirectory: number,
    to: NodeJS.TypedArray,
    flags: number,
  ): number;
  /** The calling thread's `errno`. */
  errno(): number;
}

const { i32, u32, ptr } = FFIType;
const voidType = FFIType.void;
/** 64 bits that arrive as a number if they fit into one. All lengths, offsets and addresses here do. */
const u64 = FFIType.u64_fast;
const i64 = FFIType.i64_fast;

const everywhere = {
  mmap: { args: [u64, u64, i32, i32, i32, i64], returns: i64 },
  munmap: { args: [u64, u64], returns: i32 },
  msync: { args: [u64, u64, i32], returns: i32 },
  madvise: { args: [u64, u64, i32], returns: i32 },
  memcpy: { args: [ptr, ptr, u64], returns: voidType },
  lockf: { args: [i32, i32, i64], returns: i32 },
  flock: { args: [i32, i32], returns: i32 },
  ftruncate: { args: [i32, i64], returns: i32 },
  pwrite: { args: [i32, ptr, u64, i64], returns: i64 },
  lseek: { args: [i32, i64, i32], returns: i64 },
  sysconf: { args: [i32], returns: i64 },
  getrlimit: { args: [i32, ptr], returns: i32 },
  linkat: { args: [i32, ptr, i32, ptr, i32], returns: i32 },
} as const;

const onLinux = {
  fallocate: { args: [i32, i32, i64, i64], returns: i32 },
  fcntl: { args: [i32, i32, ptr], returns: i32 },
  inotify_init1: { args: [i32], returns: i32 },
  inotify_add_watch: { args: [i32, ptr, u32], returns: i32 },
  inotify_rm_watch: { args: [i32, i32], returns: i32 },
  ioctl: { args: [i32, u64, ptr], returns: i32 },
  syscall: { args: [i64, i32, ptr, i32, ptr, i32], returns: i64 },
  __errno_location: { args: [], returns: ptr },
} as const;

const onMacos = {
  __error: { args: [], returns: ptr },
} as const;

const linuxNames: readonly string[] = [
  "libc.so.6",
  `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`,
  "libc.so",
];
const macosNames: readonly string[] = ["libSystem.B.dylib", "libc.dylib"];

/**
 * Same as the `engines` of package.json. In older versions `transfer` took buffers away from native jobs that still
 * read them, so that closing a storage could kill the process.
 */
const OLDEST_BUN = "1.4.0";

let loaded: Libc | undefined;

/**
 * The C library, loaded at the first call.
 * @throws UNSUPPORTED a Bun that is too old; a platform or a libc that Cellar does not support
 */
export function libc(): Libc {
  loaded ??= load();
  return loaded;
}

function load(): Libc {
  if (Bun.semver.order(Bun.version, OLDEST_BUN) < 0) {
    const message = `cellar needs Bun ${OLDEST_BUN} or newer, got ${Bun.version}: run "bun upgrade"`;
    throw new StorageError("UNSUPPORTED", message);
  }
  if (process.arch !== "x64" && process.arch !== "arm64") {
    throw new StorageError("UNSUPPORTED", `cellar runs on x64 and arm64, not on ${process.arch}`);
  }
  if (process.platform === "linux") return firstOf(linuxNames, loadLinux);
  if (process.platform === "darwin") return firstOf(macosNames, loadMacos);
  throw new StorageError("UNSUPPORTED", `cellar runs on Linux and macOS, not on ${process.platform}`);
}

function firstOf(names: readonly string[], open: (name: string) => Libc): Libc {
  const causes: unknown[] = [];
  for (const name of names) {
    try {
      return open(name);
    } catch (cause) {
      causes.push(cause);
    }
  }
  const cause = new AggregateError(causes, `none of ${names.join(", ")} could be loaded`);
  throw new StorageError("UNSUPPORTED", `no C library found: tried ${names.join(", ")}`, { cause });
}

// The casts rest on the declarations above: bun:ffi types 64-bit values as number | bigint.
function loadLinux(name: string): Libc {
  const { symbols } = dlopen(name, { ...everywhere, ...onLinux });
  const location = symbols.__errno_location;
  return { ...symbols, errno: () => read.i32(location() as Pointer, 0) } as unknown as Libc;
}

function loadMacos(name: string): Libc {
  const { symbols } = dlopen(name, { ...everywhere, ...onMacos });
  const location = symbols.__error;
  const missing = (): never => {
    throw new StorageError("UNSUPPORTED", "this call is made on Linux only");
  };
  const errno = (): number => read.i32(location() as Pointer, 0);
  const others = Object.fromEntries(Object.keys(onLinux).map((name) => [name, missing]));
  return { ...symbols, ...others, errno } as unknown as Libc;
}

/** The address of the memory of bytes. It stays valid as long as the bytes are referenced and not detached. */
export function addressOf(bytes: Uint8Array): Address {
  return pointerTo(bytes);
}

/** An ArrayBuffer over native memory, which must stay mapped until the buffer is detached. */
export function bufferOver(address: Address, lengthBytes: number): ArrayBuffer {
  return toArrayBuffer(address as Pointer, 0, lengthBytes);
}

/** A text as a C string, ended by a zero byte. */
export function cString(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`);
}
