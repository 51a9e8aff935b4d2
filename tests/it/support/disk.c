// Loaded into a process before its libraries (LD_PRELOAD): records what it writes to the files of one folder, and makes
// calls of the operating system fail there. Tests use it to replay a power loss and to have a disk with errors.
//
// DISK_FOLDER  the folder, an absolute path
// DISK_RECORD  the file that gets one entry for each call, after it was done; see support/disk.rs
// DISK_FAULTS  a file with lines such as `fdatasync .log`: while it says so, that call fails with EIO on files whose
//              paths end so. It is read at each call, so that a test can change it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int record = -1;

struct entry {
	char kind;
	char unused[7];
	uint64_t file, offset, length;
};

// Appends an entry and its bytes in one step, so that a kill leaves at most the last one cut.
static void append(char kind, uint64_t file, uint64_t offset, const void *bytes, uint64_t length)
{
	const char *path = getenv("DISK_RECORD");
	if (!path)
		return;
	struct entry entry = {.kind = kind, .file = file, .offset = offset, .length = length};
	pthread_mutex_lock(&lock);
	if (record < 0)
		record = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	size_t size = sizeof entry + (bytes ? length : 0);
	char *whole = malloc(size);
	memcpy(whole, &entry, sizeof entry);
	if (bytes)
		memcpy(whole + sizeof entry, bytes, length);
	for (size_t done = 0; done < size;) {
		long count = syscall(SYS_write, record, whole + done, size - done);
		if (count < 0)
			abort();
		done += count;
	}
	free(whole);
	pthread_mutex_unlock(&lock);
}

// The number of an open file of the folder; 0 for every other one. `path` gets its path.
static uint64_t file_of(int descriptor, char path[PATH_MAX])
{
	const char *folder = getenv("DISK_FOLDER");
	char link[40];
	struct stat status;
	snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
	ssize_t length = readlink(link, path, PATH_MAX - 1);
	if (!folder || length < 0)
		return 0;
	path[length] = 0;
	if (strncmp(path, folder, strlen(folder)) || fstat(descriptor, &status) || !S_ISREG(status.st_mode))
		return 0;
	return status.st_ino;
}

static int fails(const char *call, const char *path)
{
	const char *faults = getenv("DISK_FAULTS");
	char text[256] = "";
	int file = faults ? syscall(SYS_openat, AT_FDCWD, faults, O_RDONLY | O_CLOEXEC) : -1;
	if (file < 0)
		return 0;
	if (syscall(SYS_read, file, text, sizeof text - 1) < 0)
		text[0] = 0;
	syscall(SYS_close, file);
	char *rest;
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *end = strchr(line, ' ');
		size_t length = end ? strlen(end + 1) : 0;
		if (end && strlen(call) == (size_t)(end - line) && !strncmp(line, call, end - line) &&
		    strlen(path) >= length && !strcmp(path + strlen(path) - length, end + 1)) {
			errno = EIO;
			return 1;
		}
	}
	return 0;
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t count, off64_t offset)
{
	char path[PATH_MAX];
	uint64_t file = file_of(descriptor, path);
	if (file && fails("pwrite", path))
		return -1;
	ssize_t written = NEXT(pwrite64)(descriptor, bytes, count, offset);
	if (file && written > 0)
		append('w', file, offset, bytes, written);
	return written;
}

ssize_t pread64(int descriptor, void *bytes, size_t count, off64_t offset)
{
	char path[PATH_MAX];
	if (file_of(descriptor, path) && fails("pread", path))
		return -1;
	return NEXT(pread64)(descriptor, bytes, count, offset);
}

int ftruncate64(int descriptor, off64_t length)
{
	char path[PATH_MAX];
	uint64_t file = file_of(descriptor, path);
	if (file && fails("ftruncate", path))
		return -1;
	int result = NEXT(ftruncate64)(descriptor, length);
	if (file && !result)
		append('l', file, length, NULL, 0);
	return result;
}

// What was written before the call is on the disk when it has succeeded. A call that fails has written it all the same, as
// far as later calls and other processes can see, as the operating system does.
static int synchronize(int descriptor, const char *call, int (*next)(int))
{
	char path[PATH_MAX];
	uint64_t file = file_of(descriptor, path);
	if (file)
		append('b', file, 0, NULL, 0);
	int result = next(descriptor);
	if (file && fails(call, path))
		return -1;
	if (file && !result)
		append('s', file, 0, NULL, 0);
	return result;
}

int fdatasync(int descriptor)
{
	return synchronize(descriptor, "fdatasync", NEXT(fdatasync));
}

int fsync(int descriptor)
{
	return synchronize(descriptor, "fsync", NEXT(fsync));
}

// Standard output: what the process says that it has done.
ssize_t write(int descriptor, const void *bytes, size_t count)
{
	if (descriptor == STDOUT_FILENO)
		append('p', 0, 0, bytes, count);
	return NEXT(write)(descriptor, bytes, count);
}
