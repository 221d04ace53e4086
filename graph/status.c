/* graph/status.c - statuses, the message of each thread, version and build. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/tape.h"

static const struct {
    const char *name, *text;
} statuses[] = {
#define ENTRY(name, text) { "TL_" #name, text },
    TL_STATUS_MAP(ENTRY)
#undef ENTRY
};

const char *tl_status_string(tl_status status)
{
    return (unsigned)status < TL_STATUS_COUNT ? statuses[status].text : "unknown status";
}

const char *tl_status_name(tl_status status)
{
    return (unsigned)status < TL_STATUS_COUNT ? statuses[status].name : "TL_UNKNOWN";
}

static _Thread_local char message[1024];
static _Thread_local tl_status last;
static void (*log_fn)(void *data, tl_status status, const char *message);
static void *log_data;

const char *tl_message(void) { return message; }

tl_status tl_message_status(void) { return last; }

void tl_set_log(void (*log)(void *data, tl_status status, const char *message), void *data)
{
    log_fn = log;
    log_data = data;
}

tl_status tl_report_text(tl_status status, const char *sentence)
{
    snprintf(message, sizeof message, "%s", sentence);
    return last = status;
}

tl_status tl_report(tl_status status, const char *format, ...)
{
    char text[sizeof message];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (log_fn && status) log_fn(log_data, status, text);
    return tl_report_text(status, text);
}

const char *tl_version(void) { return TL_VERSION; }

static _Atomic int exact = -1;

bool tl_exact(void)
{
    int now = atomic_load(&exact);
    if (now < 0) {
        const char *e = getenv("TL_EXACT");
        now = e && *e && strcmp(e, "0");
        atomic_store(&exact, now);
    }
    return now;
}

void tl_set_exact(bool on) { atomic_store(&exact, on); }

static char build[256];

static void make_build(void)
{
    tl_blas_init();
#if defined __clang__
    const char *compiler = "clang " __clang_version__;
#else
    const char *compiler = "gcc " __VERSION__;
#endif
    snprintf(build, sizeof build, "tapeloop " TL_VERSION ", %s, kernels %s, OpenBLAS kernels %s", compiler,
             tl_isa_name(), tl_blas_core());
}

const char *tl_build_info(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_build);
    return build;
}
