#include "threads.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

typedef void (*Parallel)(void (*body)(void *), void *data, unsigned threads, unsigned flags);
typedef int (*Count)(void);

long latens_most_lanes = 16; /* of vectors of 32-bit numbers; see instruction_sets.h */

/* GOMP_parallel, omp_get_thread_num and omp_get_num_threads of the OpenMP runtime that torch works with; none: no threads. */
static Parallel parallel;
static Count number_of_this, number_of_all;

void latens_use_threads(void *run, void *of_this, void *of_all)
{
    parallel = (Parallel)run, number_of_this = (Count)of_this, number_of_all = (Count)of_all;
}

typedef struct {
    Task task;
    void *work;
    long tasks, taken; /* beyond the first of each thread */
} Shared;

/* A thread begins with the task of its own number, whose data may be in its cache from the last call; then
 * threads take the remaining tasks dynamically. */
static void work_off(Shared *shared, long slot, long threads)
{
#if defined(__x86_64__)
    unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040); /* denormal numbers count as zero: each costs a hundred cycles otherwise */
#endif
    for (long task = slot; task < shared->tasks; task = threads + __atomic_fetch_add(&shared->taken, 1, __ATOMIC_RELAXED))
        shared->task(shared->work, task, slot);
#if defined(__x86_64__)
    _mm_setcsr(before);
#endif
}

static void body(void *data) { work_off(data, number_of_this(), number_of_all()); }

void share(Task task, void *work, long tasks, long threads)
{
    Shared shared = {task, work, tasks, 0};
    if (threads > tasks) threads = tasks;
    if (parallel && threads > 1) parallel(body, &shared, (unsigned)threads, 0);
    else work_off(&shared, 0, 1);
}
