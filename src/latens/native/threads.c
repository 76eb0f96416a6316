#include "threads.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

typedef void (*Parallel)(void (*body)(void *), void *data, unsigned threads, unsigned flags);

long latens_most_lanes = 16; /* of vectors of 32-bit numbers; see instruction_sets.h */

static Parallel parallel; /* GOMP_parallel of the OpenMP runtime that torch works with; none: no threads */

void latens_use_threads(void *of_the_runtime) { parallel = (Parallel)of_the_runtime; }

typedef struct {
    Task task;
    void *work;
    long tasks, next, slots;
} Shared;

static void body(void *data)
{
    Shared *shared = data;
#if defined(__x86_64__)
    unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040); /* denormal numbers count as zero: each costs a hundred cycles otherwise */
#endif
    long slot = __atomic_fetch_add(&shared->slots, 1, __ATOMIC_RELAXED);
    for (;;) {
        long task = __atomic_fetch_add(&shared->next, 1, __ATOMIC_RELAXED);
        if (task >= shared->tasks) break;
        shared->task(shared->work, task, slot);
    }
#if defined(__x86_64__)
    _mm_setcsr(before);
#endif
}

void share(Task task, void *work, long tasks, long threads)
{
    Shared shared = {task, work, tasks, 0, 0};
    if (threads > tasks) threads = tasks;
    if (parallel && threads > 1) parallel(body, &shared, (unsigned)threads, 0);
    else body(&shared);
}
