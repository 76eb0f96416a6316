/* Work shared out among the threads that torch has already: two pools on the same processors would keep each other waiting. */

#ifndef LATENS_THREADS_H
#define LATENS_THREADS_H

typedef void (*Task)(void *work, long task, long slot); /* `slot`: which of the threads, from 0 */

/* Do tasks 0 to `tasks` - 1, each once, on up to `threads` threads, as they come. */
void share(Task task, void *work, long tasks, long threads);

#endif
