/* A library with the ABI of VMware's libvixDiskLib.so.8 as far as nbdkit's real vddk plugin calls it, so that the plugin itself
 * can be tested. It goes by the same folder (libdir) as plugin.c, of which it knows: site (user, password, thumbprint), disks,
 * calls, hang-init, fail-init, die-read.once; and fail-open, which holds an error number of vix.h.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef uint64_t VixError;
typedef void Log(const char *format, va_list args);

#define VIX_ASYNC 25000
#define SECTOR 512

typedef struct {
  char *vmxSpec, *serverName, *thumbPrint;
  long reserved1;
  int credType;
  struct { char *userName, *password, *more; } creds;
  uint32_t port, nfcHostPort;
  char rest[64];
} ConnectParams;

typedef struct {
  uint32_t biosGeometry[3], physicalGeometry[3];
  uint64_t capacity;
  int adapterType, numLinks;
  char *parentFileNameHint, *uuid;
  uint32_t logicalSectorSize, physicalSectorSize;
  char rest[64];
} Info;

typedef struct { uint32_t count; struct { uint64_t offset, length; } blocks[1]; } BlockList;

static Log *warning;
static char *folder;
static int reads;

static FILE *open_in(const char *name, const char *mode) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return fopen(path, mode);
}

static void warn(const char *format, ...) {
  va_list args;
  va_start(args, format);
  warning(format, args);
  va_end(args);
}

static void note(const char *format, ...) {
  FILE *calls = open_in("calls", "a");
  va_list args;
  va_start(args, format);
  vfprintf(calls, format, args);
  va_end(args);
  fclose(calls);
}

static int accepts(const char *key, const char *value) {
  char line[2048];
  size_t length = strlen(key);
  int accepted = 1;
  FILE *site = open_in("site", "r");
  while (site != NULL && fgets(line, sizeof line, site) != NULL) {
    line[strcspn(line, "\n")] = 0;
    if (strncmp(line, key, length) == 0 && line[length] == ' ') accepted = strcmp(line + length + 1, value) == 0;
  }
  if (site != NULL) fclose(site);
  return accepted;
}

/* @returns the number in this file, 0 when there is none */
static VixError number_in(const char *name) {
  unsigned long number = 1;
  FILE *found = open_in(name, "r");
  if (found == NULL) return 0;
  if (fscanf(found, "%lu", &number) != 1) number = 1;
  fclose(found);
  return number;
}

VixError VixDiskLib_InitEx(uint32_t major, uint32_t minor, Log *log, Log *warn_function, Log *panic, const char *libdir,
                           const char *config) {
  (void) major; (void) minor; (void) log; (void) panic; (void) config;
  warning = warn_function;
  folder = strdup(libdir);
  FILE *hang = open_in("hang-init", "r");
  if (hang != NULL) for (;;) pause();
  return number_in("fail-init");
}

void VixDiskLib_Exit(void) { note("exit\n"); }

char *VixDiskLib_GetErrorText(VixError error, const char *locale) {
  (void) locale;
  switch (error & 0xffff) {
    case 2: return strdup("Memory allocation failed. Out of memory");
    case 4: return strdup("A file was not found");
    case 13: return strdup("You do not have access rights to this file");
    case 3014: return strdup("Insufficient permissions in the host operating system");
    case 14009: return strdup("The server refused connection");
    case 14011: return strdup("The connection was lost");
    case 16064: return strdup("The host is not licensed for this feature");
    default: return strdup("Unknown error");
  }
}

void VixDiskLib_FreeErrorText(char *text) { free(text); }
ConnectParams *VixDiskLib_AllocateConnectParams(void) { return calloc(1, sizeof(ConnectParams)); }
void VixDiskLib_FreeConnectParams(ConnectParams *params) { free(params); }

VixError VixDiskLib_ConnectEx(const ConnectParams *params, char readonly, const char *snapshot, const char *modes,
                              void **connection) {
  note("open %s server=%s vm=%s snapshot=%s transports=%s thumbprint=%s user=%s\n", readonly ? "read-only" : "to write",
       params->serverName, params->vmxSpec, snapshot, modes, params->thumbPrint, params->creds.userName);
  *connection = &warning;
  if (!accepts("thumbprint", params->thumbPrint)) {
    warn("VixDiskLibVim: Failed to verify SSL certificate: actual thumbprint=00 expected=%s\n", params->thumbPrint);
    return 1;
  }
  if (accepts("user", params->creds.userName) && accepts("password", params->creds.password)) return 0;
  warn("VixDiskLibVim: Not able to login to vCenter\n");
  return 3014;
}

VixError VixDiskLib_Disconnect(void *connection) {
  (void) connection;
  note("disconnect\n");
  return 0;
}

VixError VixDiskLib_Open(void *connection, const char *path, uint32_t flags, void **handle) {
  char line[4096];
  VixError refused = number_in("fail-open");
  (void) connection; (void) flags;
  if (refused != 0) return refused;
  FILE *disks = open_in("disks", "r");
  while (disks != NULL && fgets(line, sizeof line, disks) != NULL) {
    line[strcspn(line, "\n")] = 0;
    char *tab = strchr(line, '\t');
    if (tab == NULL) continue;
    *tab = 0;
    if (strcmp(line, path) != 0) continue;
    int *fd = malloc(sizeof *fd);
    *fd = open(tab + 1, O_RDONLY);
    *handle = fd;
    fclose(disks);
    return 0;
  }
  if (disks != NULL) fclose(disks);
  return 4;
}

VixError VixDiskLib_Close(void *handle) {
  note("close\n");
  close(*(int *) handle);
  free(handle);
  return 0;
}

const char *VixDiskLib_GetTransportMode(void *handle) { (void) handle; return "nbdssl"; }
const char *VixDiskLib_ListTransportModes(void) { return "file:nbdssl:nbd"; }

VixError VixDiskLib_GetInfo(void *handle, Info **info) {
  struct stat found;
  fstat(*(int *) handle, &found);
  *info = calloc(1, sizeof(Info));
  (*info)->capacity = found.st_size / SECTOR;
  (*info)->logicalSectorSize = SECTOR;
  (*info)->physicalSectorSize = 4096;
  return 0;
}

void VixDiskLib_FreeInfo(Info *info) { free(info); }

VixError VixDiskLib_Read(void *handle, uint64_t start, uint64_t count, unsigned char *buffer) {
  VixError good = number_in("die-read.once");
  char path[4096];
  if (good != 0 && (VixError) ++reads > good) {
    snprintf(path, sizeof path, "%s/die-read.once", folder);
    unlink(path);
    _exit(134);
  }
  ssize_t length = count * SECTOR;
  if (length > 2 * 1024 * 1024) return 1;
  return pread(*(int *) handle, buffer, length, start * SECTOR) == length ? 0 : 14011;
}

VixError VixDiskLib_ReadAsync(void *handle, uint64_t start, uint64_t count, unsigned char *buffer,
                              void (*done)(void *, VixError), void *data) {
  done(data, VixDiskLib_Read(handle, start, count, buffer));
  return VIX_ASYNC;
}

VixError VixDiskLib_Wait(void *handle) { (void) handle; return 0; }
VixError VixDiskLib_Flush(void *handle) { (void) handle; return 0; }

/* What is allocated, as the file system tells: from the first data of the range to its end. */
VixError VixDiskLib_QueryAllocatedBlocks(void *handle, uint64_t start, uint64_t count, uint64_t chunk, BlockList **list) {
  off_t data = lseek(*(int *) handle, start * SECTOR, SEEK_DATA);
  uint64_t from = data < 0 ? start + count : (uint64_t) data / SECTOR / chunk * chunk;
  *list = calloc(1, sizeof(BlockList));
  if (from < start) from = start;
  if (from >= start + count) return 0;
  (*list)->count = 1;
  (*list)->blocks[0].offset = from;
  (*list)->blocks[0].length = start + count - from;
  return 0;
}

VixError VixDiskLib_FreeBlockList(BlockList *list) { free(list); return 0; }

static VixError refuse(void) { return 6; }
#define NOT_FOR_READING(name) VixError name(void) __attribute__((alias("refuse_all")));
VixError refuse_all(void) { return refuse(); }
NOT_FOR_READING(VixDiskLib_Write)
NOT_FOR_READING(VixDiskLib_WriteAsync)
NOT_FOR_READING(VixDiskLib_Create)
NOT_FOR_READING(VixDiskLib_PrepareForAccess)
NOT_FOR_READING(VixDiskLib_EndAccess)
