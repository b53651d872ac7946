// Preloaded into iotrace: asks the kernel for statistics when a program is loaded, and adds a line to the file that VERIFIER_LOG
// names: the program's name, how many instructions the verifier went through, and the nanoseconds that loading took.
// The log is asked for, and not bpf_prog_info.verified_insns, as that is not there before Linux 5.16.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define STATISTICS 4 // BPF_LOG_STATS of include/linux/bpf_verifier.h
#define SMALLEST 128 // holds the log's and the functions' members
#define LARGEST 1024 // union bpf_attr grows with the kernel, and iotrace's may be newer than this machine's

typedef long (*syscall_t)(long, ...);

static char *types; // the object's BTF: programs are loaded after it

// Bytes that follow struct btf_type, by kind.
static size_t extra(uint32_t kind, uint32_t members) {
    switch (kind) {
    case BTF_KIND_INT: case BTF_KIND_VAR: case BTF_KIND_DECL_TAG: return 4;
    case BTF_KIND_ARRAY: return sizeof(struct btf_array);
    case BTF_KIND_STRUCT: case BTF_KIND_UNION: case BTF_KIND_DATASEC: case BTF_KIND_ENUM64: return members * 12ul;
    case BTF_KIND_ENUM: case BTF_KIND_FUNC_PROTO: return members * 8ul;
    default: return 0;
    }
}

// The function's name by its type: names of programs are cut after 15 bytes.
static const char *full_name(const union bpf_attr *attr) {
    if (!types || !attr->func_info || !attr->func_info_cnt) return attr->prog_name;
    uint32_t wanted = ((const struct bpf_func_info *)attr->func_info)->type_id;
    const struct btf_header *header = (void *)types;
    const char *at = types + header->hdr_len + header->type_off, *end = at + header->type_len;
    for (uint32_t id = 1; at < end; id++) {
        const struct btf_type *type = (const void *)at;
        if (id == wanted) return types + header->hdr_len + header->str_off + type->name_off;
        at += sizeof *type + extra(BTF_INFO_KIND(type->info), BTF_INFO_VLEN(type->info));
    }
    return attr->prog_name;
}

static long load(syscall_t real, union bpf_attr *attr, size_t size) {
    static char log[1 << 16];
    struct timespec before, after;
    log[0] = 0;
    attr->log_level = STATISTICS;
    attr->log_buf = (uintptr_t)log;
    attr->log_size = sizeof log;
    clock_gettime(CLOCK_MONOTONIC, &before);
    long fd = real(SYS_bpf, BPF_PROG_LOAD, attr, size);
    clock_gettime(CLOCK_MONOTONIC, &after);
    const char *count = strstr(log, "processed "), *path = getenv("VERIFIER_LOG");
    FILE *out = fd >= 0 && count && path ? fopen(path, "a") : NULL;
    if (out) {
        long long ns = (after.tv_sec - before.tv_sec) * 1000000000ll + after.tv_nsec - before.tv_nsec;
        fprintf(out, "%s %llu %lld\n", full_name(attr), strtoull(count + strlen("processed "), NULL, 10), ns);
        fclose(out);
    }
    return fd;
}

long syscall(long number, ...) {
    static syscall_t real;
    if (!real) real = (syscall_t)dlsym(RTLD_NEXT, "syscall");
    long a[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++) a[i] = va_arg(list, long);
    va_end(list);
    const size_t size = (size_t)a[2];
    if (number == SYS_bpf && a[0] == BPF_BTF_LOAD) {
        const union bpf_attr *attr = (void *)a[1];
        char *copy = malloc(attr->btf_size);
        // Trials of what the kernel knows of BTF are smaller than the object's.
        if (copy && attr->btf_size > 4096) types = memcpy(copy, (void *)attr->btf, attr->btf_size);
    }
    if (number == SYS_bpf && a[0] == BPF_PROG_LOAD && size >= SMALLEST && size <= LARGEST) {
        _Alignas(8) char copy[LARGEST];
        union bpf_attr *attr = memcpy(copy, (void *)a[1], size);
        // Programs without a name are trials; a second attempt has a log of its own.
        if (attr->prog_name[0] && !attr->log_level) {
            // One at a time, though iotrace loads them side by side: their times shall be their own.
            static pthread_mutex_t alone = PTHREAD_MUTEX_INITIALIZER;
            pthread_mutex_lock(&alone);
            long fd = load(real, attr, size);
            pthread_mutex_unlock(&alone);
            return fd;
        }
    }
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
