/* Includes the file KERNELS, which defines `static const Kernels NAME(kernels)`, once for each instruction set; kernels() is then
 * the one for this processor. gcc alone compiles parts of a file for other processors by a pragma. */

#include <stdint.h>

extern long latens_most_lanes; /* what the tests lower, to try each set on one processor */

#define JOIN(a, b) a##_##b

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define SEVERAL_SETS

#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")
#define NAME(x) JOIN(x, avx512)
#define LANES 16
#define BLOCK_M 8
#define BLOCK_S 4
#define BLOCK_L 4
#define BLOCK_R 2
#include "one_set.h"
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx2,fma")
#define NAME(x) JOIN(x, avx2)
#define LANES 8
#define BLOCK_M 4
#define BLOCK_S 2
#define BLOCK_L 4
#define BLOCK_R 1
#include "one_set.h"
#pragma GCC pop_options

#endif

#define NAME(x) JOIN(x, plain)
#define LANES 4
#define BLOCK_M 4
#define BLOCK_S 2
#define BLOCK_L 4
#define BLOCK_R 1
#include "one_set.h"

static const Kernels *kernels(void)
{
#ifdef SEVERAL_SETS
    if (latens_most_lanes >= 16 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw"))
        return &kernels_avx512;
    if (latens_most_lanes >= 8 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &kernels_avx2;
#endif
    return &kernels_plain;
}
