/* A small nbdkit plugin that is called "vddk" and takes the parameters of the real one, for machines without VMware's
 * proprietary library. It checks the login, serves plain files, and fails on request. All it goes by lies in `libdir`:
 *
 *   lib64/libvixDiskLib.so.8   anything: it only has to be there
 *   site                       lines "user U", "password P", "thumbprint T", "transports a,b": what it accepts; a line left
 *                              out is not checked
 *   disks                      lines "[datastore] dir/name.vmdk<TAB>/path/of/a/plain/file"
 *   calls                      what was asked of it is appended here, a line each; never the password
 *   hang-init                  VixDiskLib_InitEx never returns
 *   fail-init, fail-connect, fail-open   the lines it says, as VDDK's log and error lines, before it refuses
 *   fail-read, die-read        first line: how many reads of this process go well; the rest: what it says then
 *   slow-read                  milliseconds that each read takes
 *   no-extents, fail-extents   allocation cannot be told, or fails
 *
 * The name of a mishap may end in ".once": it is removed when it has happened.
 */
#define _GNU_SOURCE
#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

static char *libdir, *server, *user, *password, *thumbprint, *vm, *snapshot, *transports, *compression, *file, *port,
  *nfchostport;

static const struct { const char *key; char **value; } parameters[] = {
  { "libdir", &libdir }, { "server", &server }, { "user", &user }, { "thumbprint", &thumbprint }, { "vm", &vm },
  { "snapshot", &snapshot }, { "transports", &transports }, { "compression", &compression }, { "file", &file },
  { "port", &port }, { "nfchostport", &nfchostport },
};
#define PARAMETERS (sizeof parameters / sizeof parameters[0])

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int reads;

static FILE *open_in(const char *name) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", libdir, name);
  return fopen(path, "r");
}

/* Opens the mishap of this name, or its ".once" form, whose file is removed. */
static FILE *mishap(const char *name, int happens) {
  char once[256], path[4096];
  FILE *found = open_in(name);
  if (found != NULL) return found;
  snprintf(once, sizeof once, "%s.once", name);
  found = open_in(once);
  if (found != NULL && happens) {
    snprintf(path, sizeof path, "%s/%s", libdir, once);
    unlink(path);
  }
  return found;
}

static void say_rest(FILE *from) {
  char line[2048];
  while (fgets(line, sizeof line, from) != NULL) {
    line[strcspn(line, "\n")] = 0;
    if (*line != 0) nbdkit_error("%s", line);
  }
  fclose(from);
}

static int refuses(const char *name) {
  FILE *found = mishap(name, 1);
  if (found == NULL) return 0;
  say_rest(found);
  return 1;
}

static void note(const char *call) {
  char path[4096];
  snprintf(path, sizeof path, "%s/calls", libdir);
  FILE *calls = fopen(path, "a");
  if (calls == NULL) return;
  fprintf(calls, "%s server=%s port=%s nfchostport=%s user=%s thumbprint=%s vm=%s snapshot=%s transports=%s compression=%s file=%s\n",
    call, server, port ? port : "-", nfchostport ? nfchostport : "-", user, thumbprint, vm, snapshot ? snapshot : "-",
    transports ? transports : "-", compression ? compression : "-", file);
  fclose(calls);
}

/* Whether "site" says nothing of `key`, or just `value`; for transports: a list that holds it. */
static int accepts(const char *key, const char *value) {
  char line[2048];
  size_t length = strlen(key);
  int accepted = 1;
  FILE *site = open_in("site");
  if (site == NULL) return 1;
  while (fgets(line, sizeof line, site) != NULL) {
    line[strcspn(line, "\n")] = 0;
    if (strncmp(line, key, length) != 0 || line[length] != ' ') continue;
    char *wanted = line + length + 1;
    if (strcmp(key, "transports") == 0) {
      accepted = 0;
      for (char *one = strtok(wanted, ","); one != NULL; one = strtok(NULL, ","))
        if (value != NULL && strcmp(one, value) == 0) accepted = 1;
    }
    else accepted = value != NULL && strcmp(wanted, value) == 0;
  }
  fclose(site);
  return accepted;
}

static int vddk_config(const char *key, const char *value) {
  if (strcmp(key, "password") == 0) {
    if (strncmp(value, "-", 1) != 0) {
      nbdkit_error("this test wants the password by file descriptor");
      return -1;
    }
    return nbdkit_read_password(value, &password);
  }
  for (size_t i = 0; i < PARAMETERS; i++) {
    if (strcmp(key, parameters[i].key) != 0) continue;
    *parameters[i].value = strdup(value);
    return 0;
  }
  nbdkit_error("unknown parameter '%s'", key);
  return -1;
}

static int vddk_config_complete(void) {
  static const char *const needed[] = { "libdir", "server", "user", "thumbprint", "vm", "file" };
  for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
    for (size_t j = 0; j < PARAMETERS; j++)
      if (strcmp(needed[i], parameters[j].key) == 0 && *parameters[j].value == NULL) {
        nbdkit_error("remote connection requested, missing parameter: %s", needed[i]);
        return -1;
      }
  if (password == NULL) {
    nbdkit_error("remote connection requested, missing parameter: password");
    return -1;
  }
  return 0;
}

/* Where the real plugin calls VixDiskLib_InitEx: after the socket is there. */
static int vddk_after_fork(void) {
  FILE *hang = mishap("hang-init", 1);
  if (hang != NULL) for (;;) pause();
  return refuses("fail-init") ? -1 : 0;
}

struct handle { int fd; };

static int find_file(char *path, size_t size) {
  char line[4096];
  FILE *disks = open_in("disks");
  while (disks != NULL && fgets(line, sizeof line, disks) != NULL) {
    line[strcspn(line, "\n")] = 0;
    char *tab = strchr(line, '\t');
    if (tab == NULL) continue;
    *tab = 0;
    if (strcmp(line, file) != 0) continue;
    snprintf(path, size, "%s", tab + 1);
    fclose(disks);
    return 1;
  }
  if (disks != NULL) fclose(disks);
  return 0;
}

static void *vddk_open(int readonly) {
  char path[4096];
  note(readonly ? "open read-only" : "open");
  if (!accepts("thumbprint", thumbprint)) {
    nbdkit_error("VixDiskLibVim: Failed to verify SSL certificate: actual thumbprint=00 expected=%s", thumbprint);
    nbdkit_error("VixDiskLib_ConnectEx: Unknown error");
    return NULL;
  }
  if (!accepts("user", user) || !accepts("password", password)) {
    nbdkit_error("VixDiskLibVim: Not able to login to vCenter: Cannot complete login due to an incorrect user name or password.");
    nbdkit_error("VixDiskLib_ConnectEx: Insufficient permissions in the host operating system");
    return NULL;
  }
  if (!accepts("transports", transports)) {
    nbdkit_error("VixDiskLib: VixDiskLib_ConnectEx: No transport plugin. Advanced transports not available.");
    nbdkit_error("VixDiskLib_ConnectEx: The operation is not supported");
    return NULL;
  }
  if (refuses("fail-connect") || refuses("fail-open")) return NULL;
  if (!find_file(path, sizeof path)) {
    nbdkit_error("VixDiskLib_Open: %s: A file was not found", file);
    return NULL;
  }
  struct handle *handle = malloc(sizeof *handle);
  handle->fd = open(path, O_RDONLY);
  if (handle->fd < 0) {
    nbdkit_error("VixDiskLib_Open: %s: %m", file);
    free(handle);
    return NULL;
  }
  return handle;
}

static void vddk_close(void *opaque) {
  struct handle *handle = opaque;
  note("close");
  close(handle->fd);
  free(handle);
}

static int64_t vddk_get_size(void *opaque) {
  struct handle *handle = opaque;
  struct stat found;
  return fstat(handle->fd, &found) < 0 ? -1 : (int64_t) found.st_size;
}

static int vddk_can_multi_conn(void *opaque) { (void) opaque; return 1; }

/* @returns whether this read, the number-th, meets the mishap */
static int met(const char *name, int number, FILE **said) {
  int good;
  *said = mishap(name, 0);
  if (*said == NULL) return 0;
  if (fscanf(*said, "%d", &good) == 1 && number <= good) {
    fclose(*said);
    return 0;
  }
  fclose(*said);
  *said = mishap(name, 1);
  if (*said == NULL) return 0;
  return fscanf(*said, "%d", &good) >= 0;
}

static int vddk_pread(void *opaque, void *buffer, uint32_t count, uint64_t offset, uint32_t flags) {
  struct handle *handle = opaque;
  FILE *said;
  int slow = 0;
  (void) flags;
  if (offset % 512 != 0 || count % 512 != 0) {
    nbdkit_error("read is not aligned to sectors");
    nbdkit_set_error(EINVAL);
    return -1;
  }
  if (count > 2 * 1024 * 1024) {
    nbdkit_error("[NFC ERROR]NfcFssrvrProcessErrorMsg: received NFC error 5 from server: Failed to allocate the requested %u bytes", count);
    nbdkit_set_error(EIO);
    return -1;
  }
  pthread_mutex_lock(&lock);
  int number = ++reads;
  if (met("die-read", number, &said)) {
    say_rest(said);
    _exit(134);
  }
  int fails = met("fail-read", number, &said);
  if (fails) say_rest(said);
  pthread_mutex_unlock(&lock);
  if (fails) {
    nbdkit_set_error(EIO);
    return -1;
  }
  FILE *delay = mishap("slow-read", 0);
  if (delay != NULL) {
    if (fscanf(delay, "%d", &slow) == 1) usleep(slow * 1000);
    fclose(delay);
  }
  for (uint32_t done = 0; done < count; ) {
    ssize_t got = pread(handle->fd, (char *) buffer + done, count - done, offset + done);
    if (got <= 0) {
      nbdkit_error("VixDiskLib_Read: A file access error occurred on the host or guest operating system");
      nbdkit_set_error(EIO);
      return -1;
    }
    done += got;
  }
  return 0;
}

static int vddk_can_extents(void *opaque) {
  (void) opaque;
  FILE *none = mishap("no-extents", 1);
  if (none == NULL) return 1;
  fclose(none);
  return 0;
}

static int vddk_extents(void *opaque, uint32_t count, uint64_t offset, uint32_t flags, struct nbdkit_extents *extents) {
  struct handle *handle = opaque;
  uint64_t end = offset + count;
  (void) flags;
  if (refuses("fail-extents")) {
    nbdkit_set_error(EIO);
    return -1;
  }
  while (offset < end) {
    off_t data = lseek(handle->fd, offset, SEEK_DATA);
    uint64_t from = data < 0 ? end : (uint64_t) data;
    if (from > offset && nbdkit_add_extent(extents, offset, from - offset, NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO) < 0)
      return -1;
    if (from >= end) break;
    off_t hole = lseek(handle->fd, from, SEEK_HOLE);
    if (hole < 0) return -1;
    if (nbdkit_add_extent(extents, from, hole - from, 0) < 0) return -1;
    offset = hole;
  }
  return 0;
}

static struct nbdkit_plugin plugin = {
  .name = "vddk",
  .longname = "a stand-in for the VDDK plugin",
  .config = vddk_config,
  .config_complete = vddk_config_complete,
  .after_fork = vddk_after_fork,
  .open = vddk_open,
  .close = vddk_close,
  .get_size = vddk_get_size,
  .can_multi_conn = vddk_can_multi_conn,
  .pread = vddk_pread,
  .can_extents = vddk_can_extents,
  .extents = vddk_extents,
  .errno_is_preserved = 0,
};

NBDKIT_REGISTER_PLUGIN(plugin)
