/*
 * Storage that behaves badly, for a server under test: preloaded (LD_PRELOAD), it stands between
 * the server and what is under one folder. What it does is told by the environment:
 *
 * STORAGE_ROOT        the folder, absolute and without links; all else is left alone
 * STORAGE_MIRROR      a folder on the same file system, empty for the first process, which gets
 *                     what a loss of power would leave: of a file what was written before its
 *                     last sync, of a folder the names it had at its last sync
 * STORAGE_SYNC_US     how long a sync takes
 * STORAGE_FAIL_SYNC   a path; while there is a file, syncs fail with EIO, and what was to be
 *                     synced never is, as in Linux
 * STORAGE_FAIL_WRITE  a path; while there is a file, writes fail: with ENOSPC or EIO, which is
 *                     the file's text. "ENOSPC half" writes half of the first one before
 *
 * In the mirror, NUMBER being an inode's:
 *
 * names/NUMBER        a folder's names, each as "TYPE NUMBER NAME" and a zero byte
 * durable/NUMBER      a file's contents; absent if it was never synced
 * live/NUMBER         the file itself, so that it has no other's number, and that what was not
 *                     synced can be told
 *
 * Names are read from the folder when it is synced, so it does not matter who changed them and
 * how. Contents are copied by the ranges that were written since the last sync, because a file
 * may be large and sparse. Maps of files are not seen.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS 65536
#define BUCKETS 1024
#define PATH_LEN 4096

struct range {
    off_t begin, end;
};

/* An inode under the root. */
struct node {
    struct node *next;
    ino_t number;
    int is_folder;
    /* Of a folder: keeps its number from being another's. Of a file: durable/NUMBER, or -1. */
    int fd;
    /* Whether durable/NUMBER is the file itself, because nothing was written since the start. */
    int is_shared;
    /* The shortest it was since the last sync; -1 if it was not cut. */
    off_t cut_to;
    struct range *ranges;
    size_t count, room;
    /* Held for a whole sync: a second one of the same file may not end before the first. */
    pthread_mutex_t sync;
};

static const char *root, *mirror, *fail_sync, *fail_write;
static unsigned sync_us;
static struct node *nodes[BUCKETS];
static struct node *node_of_fd[FDS];
/* Over all of the above, and over each write with the note of it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void die(const char *what)
{
    fprintf(stderr, "storage: %s: %s\n", what, strerror(errno));
    abort();
}

static int real_open(const char *path, int flags, mode_t mode)
{
    return syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, mode);
}

static void path_in_mirror(char *path, const char *kind, ino_t number, const char *suffix)
{
    snprintf(path, PATH_LEN, "%s/%s/%ju%s", mirror, kind, (uintmax_t)number, suffix);
}

static void copy_range(int from, int to, off_t begin, off_t end)
{
    static char buffer[1 << 16];
    while (begin < end) {
        size_t len = end - begin < (off_t)sizeof buffer ? (size_t)(end - begin) : sizeof buffer;
        ssize_t got = syscall(SYS_pread64, from, buffer, len, begin);
        if (got < 0)
            die("a file can't be read back");
        if (got == 0)
            return;
        if (syscall(SYS_pwrite64, to, buffer, got, begin) != got)
            die("the mirror can't be written");
        begin += got;
    }
}

/* Copies all that is no hole. */
static void copy_all(int from, int to)
{
    off_t end = 0, begin;
    struct stat stat;
    if (fstat(from, &stat) || syscall(SYS_ftruncate, to, stat.st_size))
        die("a file can't be copied");
    while ((begin = lseek(from, end, SEEK_DATA)) >= 0) {
        end = lseek(from, begin, SEEK_HOLE);
        copy_range(from, to, begin, end);
    }
}

/* The node of what the descriptor is open on, made if it is new; the lock is held. */
static struct node *node_of(int fd)
{
    struct stat stat;
    if (fstat(fd, &stat) || !(S_ISREG(stat.st_mode) || S_ISDIR(stat.st_mode)))
        return NULL;
    struct node **bucket = &nodes[stat.st_ino % BUCKETS], *node = *bucket;
    while (node && node->number != stat.st_ino)
        node = node->next;
    if (node)
        return node;
    node = calloc(1, sizeof *node);
    if (!node)
        die("memory");
    *node = (struct node){.next = *bucket, .number = stat.st_ino, .fd = -1, .cut_to = -1};
    node->is_folder = S_ISDIR(stat.st_mode);
    pthread_mutex_init(&node->sync, NULL);
    *bucket = node;
    if (!mirror)
        return node;
    char path[PATH_LEN], link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (node->is_folder) {
        node->fd = real_open(link, O_RDONLY | O_DIRECTORY, 0);
    } else {
        struct stat durable;
        path_in_mirror(path, "durable", node->number, "");
        node->is_shared = !lstat(path, &durable) && durable.st_ino == node->number;
        path_in_mirror(path, "live", node->number, "");
        /* A file that was removed at once has no name left, and needs none. */
        int failed = linkat(AT_FDCWD, link, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
        if (failed && errno != EEXIST && errno != ENOENT)
            die(path);
    }
    return node;
}

static struct node *tracked(int fd)
{
    return fd >= 0 && fd < FDS ? __atomic_load_n(&node_of_fd[fd], __ATOMIC_ACQUIRE) : NULL;
}

static int is_under_root(int fd)
{
    char link[64], path[PATH_LEN];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    size_t root_len = strlen(root);
    if (len < (ssize_t)root_len)
        return 0;
    path[len] = 0;
    return !strncmp(path, root, root_len) && (path[root_len] == '/' || !path[root_len]);
}

/* Before the first change since the start: from now on the mirror has its own copy. */
static void copy_before_change(struct node *node)
{
    char path[PATH_LEN], copy[PATH_LEN], live[PATH_LEN];
    if (!node->is_shared)
        return;
    path_in_mirror(live, "live", node->number, "");
    path_in_mirror(path, "durable", node->number, "");
    path_in_mirror(copy, "durable", node->number, ".copy");
    int from = real_open(live, O_RDONLY, 0), to = real_open(copy, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (from < 0 || to < 0)
        die(copy);
    copy_all(from, to);
    if (rename(copy, path))
        die(path);
    syscall(SYS_close, from);
    node->fd = to;
    node->is_shared = 0;
}

static void note_range(struct node *node, off_t begin, off_t end)
{
    struct range *last = node->count ? &node->ranges[node->count - 1] : NULL;
    if (last && last->end == begin) {
        last->end = end;
        return;
    }
    if (node->count == node->room) {
        node->room = node->room ? 2 * node->room : 16;
        node->ranges = realloc(node->ranges, node->room * sizeof *node->ranges);
        if (!node->ranges)
            die("memory");
    }
    node->ranges[node->count++] = (struct range){begin, end};
}

static void note_cut(struct node *node, off_t len)
{
    if (node->cut_to < 0 || len < node->cut_to)
        node->cut_to = len;
}

/* The error that writes have to fail with now, or 0. */
static int write_error(int *is_half)
{
    static int had_half;
    char text[16] = "";
    int fd = fail_write ? real_open(fail_write, O_RDONLY, 0) : -1;
    *is_half = 0;
    if (fd < 0) {
        had_half = 0;
        return 0;
    }
    syscall(SYS_read, fd, text, sizeof text - 1);
    syscall(SYS_close, fd);
    if (strstr(text, "half") && !had_half)
        *is_half = had_half = 1;
    return strstr(text, "EIO") ? EIO : ENOSPC;
}

/* --- Syncs --- */

static void sync_folder(struct node *node)
{
    char path[PATH_LEN], made[PATH_LEN], text[PATH_LEN];
    path_in_mirror(path, "names", node->number, "");
    path_in_mirror(made, "names", node->number, ".new");
    int out = real_open(made, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    int again = syscall(SYS_openat, node->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    DIR *folder = fdopendir(again);
    if (out < 0 || !folder)
        die(made);
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        int len = snprintf(text, sizeof text, "%c %ju %s", entry->d_type == DT_DIR ? 'd' : 'f',
                           (uintmax_t)entry->d_ino, entry->d_name);
        if (syscall(SYS_write, out, text, len + 1) != len + 1)
            die(made);
    }
    closedir(folder);
    syscall(SYS_close, out);
    if (rename(made, path))
        die(path);
}

/* Copies what was written and cut before; nobody else syncs this file meanwhile. */
static void sync_file(struct node *node, int fd, struct range *ranges, size_t count, off_t cut_to)
{
    char path[PATH_LEN];
    struct stat stat;
    pthread_mutex_lock(&lock);
    if (node->is_shared || fstat(fd, &stat))
        goto done;
    if (node->fd < 0) {
        path_in_mirror(path, "durable", node->number, "");
        node->fd = real_open(path, O_RDWR | O_CREAT, 0600);
        if (node->fd < 0)
            die(path);
    }
    if (cut_to >= 0 && syscall(SYS_ftruncate, node->fd, cut_to))
        die("the mirror can't be cut");
    if (syscall(SYS_ftruncate, node->fd, stat.st_size))
        die("the mirror can't be cut");
    for (size_t index = 0; index < count; index++)
        copy_range(fd, node->fd, ranges[index].begin, ranges[index].end);
done:
    pthread_mutex_unlock(&lock);
}

/* What was written before this, and nothing that is written while it waits, has to be there. */
static int sync_node(struct node *node, int fd)
{
    pthread_mutex_lock(&node->sync);
    pthread_mutex_lock(&lock);
    struct range *ranges = node->ranges;
    size_t count = node->count;
    off_t cut_to = node->cut_to;
    node->ranges = NULL;
    node->count = node->room = 0;
    node->cut_to = -1;
    int fails = fail_sync && !access(fail_sync, F_OK);
    if (mirror && !fails && node->is_folder)
        sync_folder(node);
    pthread_mutex_unlock(&lock);
    if (sync_us)
        usleep(sync_us);
    if (mirror && !fails && !node->is_folder) {
        /* It may be open for writing alone, and copies need to read it. */
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        int readable = real_open(link, O_RDONLY, 0);
        if (readable < 0)
            die("a file can't be opened again");
        sync_file(node, readable, ranges, count, cut_to);
        syscall(SYS_close, readable);
    }
    pthread_mutex_unlock(&node->sync);
    free(ranges);
    if (fails) {
        errno = EIO;
        return -1;
    }
    return 0;
}

int fsync(int fd)
{
    struct node *node = tracked(fd);
    return node ? sync_node(node, fd) : syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    struct node *node = tracked(fd);
    return node ? sync_node(node, fd) : syscall(SYS_fdatasync, fd);
}

/* Not mirrored, so that who relies on them is found out. */
int syncfs(int fd)
{
    return syscall(SYS_syncfs, fd);
}

void sync(void)
{
}

/* --- Writes --- */

/* Writes at the place, or where the descriptor stands if that is negative, and notes it. */
static ssize_t write_parts(struct node *node, int fd, const struct iovec *parts, int count,
                           off_t at)
{
    pthread_mutex_lock(&lock);
    int is_half, error = write_error(&is_half);
    struct iovec half = {parts[0].iov_base, parts[0].iov_len / 2};
    ssize_t written = -1;
    errno = error;
    if (error && is_half && half.iov_len)
        parts = &half, count = 1, error = 0;
    if (!error) {
        if (mirror)
            copy_before_change(node);
        written = at < 0 ? syscall(SYS_writev, fd, parts, count)
                         : syscall(SYS_pwritev, fd, parts, count, at, 0);
        if (written > 0) {
            off_t end = at < 0 ? lseek(fd, 0, SEEK_CUR) : at + written;
            note_range(node, end - written, end);
        }
    }
    int saved = errno;
    pthread_mutex_unlock(&lock);
    errno = saved;
    return written;
}

ssize_t write(int fd, const void *bytes, size_t len)
{
    struct node *node = tracked(fd);
    struct iovec part = {(void *)bytes, len};
    return node ? write_parts(node, fd, &part, 1, -1) : syscall(SYS_write, fd, bytes, len);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    struct node *node = tracked(fd);
    if (!node || count <= 0)
        return syscall(SYS_writev, fd, parts, count);
    return write_parts(node, fd, parts, count, -1);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at)
{
    struct node *node = tracked(fd);
    struct iovec part = {(void *)bytes, len};
    return node ? write_parts(node, fd, &part, 1, at) : syscall(SYS_pwrite64, fd, bytes, len, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at)
{
    return pwrite64(fd, bytes, len, at);
}

/* Nobody has to be quick by them here: their callers fall back to reads and writes. */
ssize_t copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t len,
                        unsigned flags)
{
    if (tracked(out)) {
        errno = ENOSYS;
        return -1;
    }
    return syscall(SYS_copy_file_range, in, in_at, out, out_at, len, flags);
}

ssize_t sendfile64(int out, int in, off64_t *at, size_t len)
{
    if (tracked(out)) {
        errno = ENOSYS;
        return -1;
    }
    return syscall(SYS_sendfile, out, in, at, len);
}

ssize_t sendfile(int out, int in, off_t *at, size_t len)
{
    return sendfile64(out, in, at, len);
}

int ftruncate64(int fd, off64_t len)
{
    struct node *node = tracked(fd);
    if (!node)
        return syscall(SYS_ftruncate, fd, len);
    pthread_mutex_lock(&lock);
    if (mirror)
        copy_before_change(node);
    int result = syscall(SYS_ftruncate, fd, len);
    if (!result)
        note_cut(node, len);
    pthread_mutex_unlock(&lock);
    return result;
}

int ftruncate(int fd, off_t len)
{
    return ftruncate64(fd, len);
}

int fallocate64(int fd, int mode, off64_t at, off64_t len)
{
    struct node *node = tracked(fd);
    int is_half, error = node ? write_error(&is_half) : 0;
    if (error) {
        errno = error;
        return -1;
    }
    if (node && mode) {
        errno = EOPNOTSUPP;
        return -1;
    }
    if (node && mirror) {
        pthread_mutex_lock(&lock);
        copy_before_change(node);
        pthread_mutex_unlock(&lock);
    }
    return syscall(SYS_fallocate, fd, mode, at, len);
}

int fallocate(int fd, int mode, off_t at, off_t len)
{
    return fallocate64(fd, mode, at, len);
}

int posix_fallocate64(int fd, off64_t at, off64_t len)
{
    return fallocate64(fd, 0, at, len) ? errno : 0;
}

int posix_fallocate(int fd, off_t at, off_t len)
{
    return posix_fallocate64(fd, at, len);
}

/* --- Descriptors --- */

/* The argument that only who creates a file has. */
#define MODE_OF(flags, mode)                                                                       \
    do {                                                                                           \
        if (((flags) & O_CREAT) || ((flags) & O_TMPFILE) == O_TMPFILE) {                           \
            va_list rest;                                                                          \
            va_start(rest, flags);                                                                 \
            mode = va_arg(rest, mode_t);                                                           \
            va_end(rest);                                                                          \
        }                                                                                          \
    } while (0)

int openat64(int at, const char *path, int flags, ...)
{
    mode_t mode = 0;
    MODE_OF(flags, mode);
    /* Cut only once the mirror has its copy. */
    int fd = syscall(SYS_openat, at, path, flags & ~O_TRUNC, mode);
    if (fd < 0 || fd >= FDS)
        return fd;
    if (!root || (flags & O_PATH) || !is_under_root(fd)) {
        if ((flags & O_TRUNC) && !(flags & O_PATH) && (flags & O_ACCMODE) != O_RDONLY)
            (void)!syscall(SYS_ftruncate, fd, 0);
        return fd;
    }
    pthread_mutex_lock(&lock);
    struct node *node = node_of(fd);
    __atomic_store_n(&node_of_fd[fd], node, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&lock);
    if (node && !node->is_folder && (flags & O_TRUNC))
        ftruncate64(fd, 0);
    return fd;
}

int openat(int at, const char *path, int flags, ...)
{
    mode_t mode = 0;
    MODE_OF(flags, mode);
    return openat64(at, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    mode_t mode = 0;
    MODE_OF(flags, mode);
    return openat64(AT_FDCWD, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    MODE_OF(flags, mode);
    return openat64(AT_FDCWD, path, flags, mode);
}

int close(int fd)
{
    if (fd >= 0 && fd < FDS)
        __atomic_store_n(&node_of_fd[fd], NULL, __ATOMIC_RELEASE);
    return syscall(SYS_close, fd);
}

static int duplicated(int from, int to)
{
    if (to >= 0 && to < FDS)
        __atomic_store_n(&node_of_fd[to], tracked(from), __ATOMIC_RELEASE);
    return to;
}

int dup(int fd)
{
    return duplicated(fd, syscall(SYS_dup, fd));
}

int dup3(int fd, int to, int flags)
{
    return duplicated(fd, syscall(SYS_dup3, fd, to, flags));
}

int dup2(int fd, int to)
{
    return fd == to ? to : dup3(fd, to, 0);
}

int fcntl64(int fd, int command, ...)
{
    va_list rest;
    va_start(rest, command);
    long argument = va_arg(rest, long);
    va_end(rest);
    int result = syscall(SYS_fcntl, fd, command, argument);
    return command == F_DUPFD || command == F_DUPFD_CLOEXEC ? duplicated(fd, result) : result;
}

int fcntl(int fd, int command, ...)
{
    va_list rest;
    va_start(rest, command);
    long argument = va_arg(rest, long);
    va_end(rest);
    return fcntl64(fd, command, argument);
}

/* --- The start --- */

/* All that is there when the process starts is durable. */
static void adopt(const char *path)
{
    int fd = real_open(path, O_RDONLY | O_NOFOLLOW, 0);
    struct node *node = fd < 0 ? NULL : node_of(fd);
    if (!node)
        die(path);
    if (node->is_folder) {
        char below[PATH_LEN];
        sync_folder(node);
        DIR *folder = fdopendir(fd);
        for (struct dirent *entry; (entry = readdir(folder));) {
            if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
                continue;
            snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
            adopt(below);
        }
        closedir(folder);
        return;
    }
    char durable[PATH_LEN];
    path_in_mirror(durable, "durable", node->number, "");
    if (link(path, durable) && errno != EEXIST)
        die(durable);
    node->is_shared = 1;
    syscall(SYS_close, fd);
}

__attribute__((constructor)) static void start(void)
{
    static const char *const kinds[] = {"names", "durable", "live"};
    char path[PATH_LEN];
    /* Whether another process has begun the mirror. */
    int goes_on = 0;
    errno = 0;
    const char *delay = getenv("STORAGE_SYNC_US");
    sync_us = delay ? atoi(delay) : 0;
    fail_sync = getenv("STORAGE_FAIL_SYNC");
    fail_write = getenv("STORAGE_FAIL_WRITE");
    mirror = getenv("STORAGE_MIRROR");
    const char *folder = getenv("STORAGE_ROOT");
    if (!folder)
        return;
    for (int kind = 0; mirror && kind < 3; kind++) {
        snprintf(path, sizeof path, "%s/%s", mirror, kinds[kind]);
        if (mkdir(path, 0700) && errno != EEXIST)
            die(path);
        goes_on |= errno == EEXIST;
    }
    root = folder;
    if (mirror && !goes_on)
        adopt(root);
}
