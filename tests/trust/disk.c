/* A disk that can lose power and fail: preloaded before the service (LD_PRELOAD).

   In: calls of the C library on files below WETREAD_DISK_ROOT.  Out: the same calls, and beside them
   in WETREAD_DISK_SHADOW what of it is durable.  Never: a file taken for durable that nobody synced.

   Durable picture. A file's content is kept when the file is synced (the copy is taken before the real
   call and counts after it). A folder's names are kept when the folder is synced: creation, link, rename
   and unlink alone are nothing. Files are known by inode and time of birth, since inodes are used again.

       SHADOW/files/KEY     content at the last sync
       SHADOW/folders/KEY   lines "NAME KEY KIND" at the last sync; KIND is f or d

   Faults. WETREAD_DISK_FAULT names a file of 512 bytes that is mapped: "ERRNO PASS PATH-PART". Calls that
   write to a path with this part fail with this errno, after PASS of them went through. ERRNO 0: none.
   The last 8 of the 512 bytes count the calls that failed.
   WETREAD_DISK_IGNORE_SYNC=1 makes syncing do nothing: the control that shows that the picture is true. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *root, *shadow;
static volatile char *fault;
static int ignores_sync;
static int passed;
static char last_fault[512];

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void) {
    root = getenv("WETREAD_DISK_ROOT");
    shadow = getenv("WETREAD_DISK_SHADOW");
    ignores_sync = getenv("WETREAD_DISK_IGNORE_SYNC") != NULL;
    const char *path = getenv("WETREAD_DISK_FAULT");
    if (path) {
        int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR);
        if (fd >= 0) {
            void *page = mmap(NULL, 512, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
            fault = page == MAP_FAILED ? NULL : page;
            syscall(SYS_close, fd);
        }
    }
}

/* ---- faults ---- */

static int is_ours(const char *path) { return root && strncmp(path, root, strlen(root)) == 0; }

static int refuse(const char *path) {
    if (!fault || fault[0] == '0' || !fault[0] || !is_ours(path)) return 0;
    char text[512], part[400] = "";
    int number = 0, pass = 0;
    memcpy(text, (const char *)fault, sizeof text);
    text[503] = 0;
    if (strcmp(text, last_fault) != 0) {
        strcpy(last_fault, text);
        passed = 0;
    }
    if (sscanf(text, "%d %d %399s", &number, &pass, part) < 2 || !number) return 0;
    if (!strstr(path, part)) return 0;
    if (__sync_fetch_and_add(&passed, 1) < pass) return 0;
    __sync_fetch_and_add((volatile long long *)(fault + 504), 1);
    errno = number;
    return 1;
}

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return 1;
}

static int refuse_fd(int fd) {
    if (!fault || fault[0] == '0' || !fault[0]) return 0;
    char path[PATH_MAX];
    int kept = errno;
    if (path_of(fd, path) && refuse(path)) return 1;
    errno = kept;
    return 0;
}

static int refuse_name(int folder, const char *name) {
    if (!fault || fault[0] == '0' || !fault[0]) return 0;
    if (name[0] == '/') return refuse(name);
    char path[PATH_MAX], whole[PATH_MAX * 2];
    if (folder == AT_FDCWD ? !getcwd(path, sizeof path) : !path_of(folder, path)) return 0;
    snprintf(whole, sizeof whole, "%s/%s", path, name);
    return refuse(whole);
}

/* ---- the durable picture ---- */

static int key_at(int folder, const char *name, int flags, char *key, mode_t *mode) {
    struct statx about;
    if (statx(folder, name, flags | AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &about)) return 0;
    snprintf(key, 80, "%llu-%lld.%u", (unsigned long long)about.stx_ino,
             (long long)about.stx_btime.tv_sec, about.stx_btime.tv_nsec);
    *mode = about.stx_mode;
    return 1;
}

static void draft_name(char *draft, const char *kind, const char *key) {
    snprintf(draft, PATH_MAX, "%s/%s/%s.%ld.draft", shadow, kind, key, syscall(SYS_gettid));
}

static int keep_file(int fd, const char *key, char *draft) {
    char self[64], piece[1 << 16];
    draft_name(draft, "files", key);
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    int from = syscall(SYS_openat, AT_FDCWD, self, O_RDONLY | O_CLOEXEC);
    int to = syscall(SYS_openat, AT_FDCWD, draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    long length = -1;
    while (from >= 0 && to >= 0 && (length = syscall(SYS_read, from, piece, sizeof piece)) > 0)
        if (syscall(SYS_write, to, piece, length) != length) { length = -1; break; }
    if (from >= 0) syscall(SYS_close, from);
    if (to >= 0) syscall(SYS_close, to);
    return length == 0;
}

static int keep_folder(const char *path, const char *key, char *draft) {
    draft_name(draft, "folders", key);
    DIR *folder = opendir(path);
    FILE *list = fopen(draft, "we");
    if (!folder || !list) abort();
    for (struct dirent *entry; (entry = readdir(folder));) {
        char one[80];
        mode_t mode;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        if (key_at(dirfd(folder), entry->d_name, 0, one, &mode))
            fprintf(list, "%s %s %c\n", entry->d_name, one, S_ISDIR(mode) ? 'd' : 'f');
    }
    closedir(folder);
    fclose(list);
    return 1;
}

static int sync_with(int fd, int (*really)(int)) {
    char path[PATH_MAX], key[80], draft[PATH_MAX] = "", kept[PATH_MAX];
    mode_t mode = 0;
    if (refuse_fd(fd)) return -1;
    if (!shadow || !path_of(fd, path) || !is_ours(path)) return really(fd);
    if (ignores_sync) return 0;
    if (!key_at(fd, "", AT_EMPTY_PATH, key, &mode)) return really(fd);
    int is_kept = S_ISDIR(mode) ? keep_folder(path, key, draft) : keep_file(fd, key, draft);
    int outcome = really(fd);
    if (outcome == 0 && is_kept) {
        snprintf(kept, sizeof kept, "%s/%s/%s", shadow, S_ISDIR(mode) ? "folders" : "files", key);
        syscall(SYS_renameat, AT_FDCWD, draft, AT_FDCWD, kept);
    }
    return outcome;
}

int fsync(int fd) { return sync_with(fd, REAL(fsync)); }
int fdatasync(int fd) { return sync_with(fd, REAL(fdatasync)); }

/* ---- what writes ---- */

ssize_t write(int fd, const void *data, size_t size) {
    return refuse_fd(fd) ? -1 : REAL(write)(fd, data, size);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    return refuse_fd(fd) ? -1 : REAL(pwrite)(fd, data, size, at);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    return refuse_fd(fd) ? -1 : REAL(pwrite64)(fd, data, size, at);
}
ssize_t writev(int fd, const struct iovec *pieces, int count) {
    return refuse_fd(fd) ? -1 : REAL(writev)(fd, pieces, count);
}
int ftruncate(int fd, off_t size) { return refuse_fd(fd) ? -1 : REAL(ftruncate)(fd, size); }
int ftruncate64(int fd, off64_t size) { return refuse_fd(fd) ? -1 : REAL(ftruncate64)(fd, size); }
int mkdir(const char *path, mode_t mode) {
    return refuse_name(AT_FDCWD, path) ? -1 : REAL(mkdir)(path, mode);
}
int link(const char *from, const char *to) {
    return refuse_name(AT_FDCWD, to) ? -1 : REAL(link)(from, to);
}
int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    return refuse_name(to_folder, to) ? -1 : REAL(linkat)(from_folder, from, to_folder, to, flags);
}
int rename(const char *from, const char *to) {
    return refuse_name(AT_FDCWD, to) ? -1 : REAL(rename)(from, to);
}

static mode_t mode_of(int flags, va_list more) {
    return flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;
}
/* A full disk makes no new file; a read-only one opens none for writing either. */
static int refuse_open(int folder, const char *path, int flags) {
    int writes = (flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT;
    if (!writes || !fault || fault[0] == '0') return 0;
    if (atoi((const char *)fault) != EROFS && faccessat(folder, path, F_OK, 0) == 0) return 0;
    return refuse_name(folder, path);
}
#define OPENER(name)                                                          \
    int name(const char *path, int flags, ...) {                              \
        va_list more;                                                         \
        va_start(more, flags);                                                \
        mode_t mode = mode_of(flags, more);                                   \
        va_end(more);                                                         \
        return refuse_open(AT_FDCWD, path, flags) ? -1 : REAL(name)(path, flags, mode); \
    }
OPENER(open)
OPENER(open64)
#define OPENER_AT(name)                                                       \
    int name(int folder, const char *path, int flags, ...) {                  \
        va_list more;                                                         \
        va_start(more, flags);                                                \
        mode_t mode = mode_of(flags, more);                                   \
        va_end(more);                                                         \
        return refuse_open(folder, path, flags) ? -1 : REAL(name)(folder, path, flags, mode); \
    }
OPENER_AT(openat)
OPENER_AT(openat64)
