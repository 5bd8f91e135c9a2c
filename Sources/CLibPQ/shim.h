#pragma once
#include <dlfcn.h>
#include <libpq-fe.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

// epoll's event is a packed struct around a union and its flags are an enum and macros at once: neither is pleasant
// to use from Swift, so the four calls that the event loop needs are wrapped here.

struct clibpq_event {
    uint64_t token;
    int readable;
    int writable;
};

static inline int clibpq_epoll_set(int epoll, int operation, int descriptor, uint64_t token, int writable) {
    struct epoll_event event = {.events = EPOLLIN | (writable ? EPOLLOUT : 0)};
    event.data.u64 = token;
    return epoll_ctl(epoll, operation, descriptor, &event);
}

static inline int clibpq_epoll_create(void) {
    return epoll_create1(EPOLL_CLOEXEC);
}

static inline int clibpq_epoll_add(int epoll, int descriptor, uint64_t token) {
    return clibpq_epoll_set(epoll, EPOLL_CTL_ADD, descriptor, token, 0);
}

static inline int clibpq_epoll_modify(int epoll, int descriptor, uint64_t token, int writable) {
    return clibpq_epoll_set(epoll, EPOLL_CTL_MOD, descriptor, token, writable);
}

static inline int clibpq_epoll_remove(int epoll, int descriptor) {
    return epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, 0);
}

// An eventfd that reports each write once and never has to be read: edge triggered, its counter cannot overflow.
static inline int clibpq_eventfd_create(void) {
    return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static inline int clibpq_epoll_add_eventfd(int epoll, int descriptor) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    event.data.u64 = 0;
    return epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event);
}

static inline int clibpq_eventfd_signal(int descriptor) {
    return eventfd_write(descriptor, 1);
}

// An error or a hang-up counts as both: the next read or write then reports it.
static inline int clibpq_epoll_wait(int epoll, struct clibpq_event *events, int capacity, int milliseconds) {
    struct epoll_event found[64];
    int count = epoll_wait(epoll, found, capacity < 64 ? capacity : 64, milliseconds);
    for (int index = 0; index < count; index++) {
        uint32_t flags = found[index].events;
        events[index].token = found[index].data.u64;
        events[index].readable = (flags & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0;
        events[index].writable = (flags & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0;
    }
    return count;
}

// A notice may quote data, and libpq would print it to standard error.
static inline void clibpq_ignore_notice(void *context, const PGresult *result) {
    (void)context;
    (void)result;
}

static inline void clibpq_silence_notices(PGconn *connection) {
    PQsetNoticeReceiver(connection, clibpq_ignore_notice, 0);
}

// How many decrypted bytes OpenSSL holds back: libpq may leave some of a record there, and no socket event tells of
// them. libpq brings OpenSSL along; looking the function up keeps its headers and version out of this package.
static inline int clibpq_tls_pending(PGconn *connection) {
    void *tls = PQsslStruct(connection, "OpenSSL");
    if (!tls) return 0;
    int (*pending)(const void *) = (int (*)(const void *))dlsym((void *)0, "SSL_pending");
    return pending ? pending(tls) : 0;
}
