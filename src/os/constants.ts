/** Constants of the C headers, per platform. No other file has a literal flag. */

const linux: boolean = process.platform === "linux";

/** sys/mman.h */
export const PROT_READ = 0x1;
export const PROT_WRITE = 0x2;
export const MAP_SHARED = 0x01;
export const MAP_PRIVATE = 0x02;
export const MAP_FIXED = 0x10;
export const MAP_ANONYMOUS: number = linux ? 0x20 : 0x1000;
export const MAP_NORESERVE: number = linux ? 0x4000 : 0x40;
export const MS_SYNC: number = linux ? 0x4 : 0x10;
export const MADV_RANDOM = 1;
export const MADV_WILLNEED = 3;
export const MADV_DONTNEED = 4;

/** unistd.h: lockf */
export const F_ULOCK = 0;
export const F_TLOCK = 2;

/** fcntl.h, Linux: open-file-description locks and the types of a lock */
export const F_OFD_GETLK = 36;
export const F_OFD_SETLK = 37;
export const F_WRLCK = 1;
export const F_UNLCK = 2;

/** unistd.h: lseek */
export const SEEK_SET = 0;
export const SEEK_END = 2;
export const SEEK_DATA: number = linux ? 3 : 4;
export const SEEK_HOLE: number = linux ? 4 : 3;

/** sys/file.h: flock */
export const LOCK_EX = 2;
export const LOCK_NB = 4;
export const LOCK_UN = 8;

/** linux/falloc.h */
export const FALLOC_FL_KEEP_SIZE = 0x01;
export const FALLOC_FL_PUNCH_HOLE = 0x02;

/** unistd.h: sysconf */
export const SC_PAGESIZE: number = linux ? 30 : 29;

/** sys/resource.h: getrlimit */
export const RLIMIT_FSIZE = 1;

/** fcntl.h and linux/fs.h: naming files */
export const AT_FDCWD: number = linux ? -100 : -2;
export const AT_SYMLINK_FOLLOW: number = linux ? 0x400 : 0x40;
/** Linux: a file without a name. It includes O_DIRECTORY, which has another value on arm64. */
export const O_TMPFILE: number = 0o20000000 | (process.arch === "arm64" ? 0o40000 : 0o200000);
export const RENAME_NOREPLACE = 1;
/** sys/syscall.h */
export const SYS_renameat2: number = process.arch === "arm64" ? 276 : 316;

/** linux/fs.h: attributes of a file (ioctl_iflags(2)) */
export const FS_IOC_GETFLAGS = 0x80086601;
export const FS_IOC_SETFLAGS = 0x40086602;
export const FS_NOCOW_FL = 0x00800000;

/** sys/inotify.h */
export const IN_MODIFY = 0x2;
export const IN_ATTRIB = 0x4;
export const IN_DELETE_SELF = 0x400;
export const IN_Q_OVERFLOW = 0x4000;
export const IN_IGNORED = 0x8000;
export const IN_NONBLOCK = 0o4000;
export const IN_CLOEXEC = 0o2000000;
