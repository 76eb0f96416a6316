/* Includes the file named KERNELS once for each instruction set, with LANES and NAME() defined, and gives `kernels()`: what that
 * file put into NAME(kernels), a struct Kernels, for the best of the sets that this processor has. */

#define JOIN(a, b) a##_##b
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)

#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")
#define NAME(x) JOIN(x, avx512)
#define LANES 16
#include KERNELS
#undef NAME
#undef LANES
#undef vec
#undef bits
#undef INLINE
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx2,fma")
#define NAME(x) JOIN(x, avx2)
#define LANES 8
#include KERNELS
#undef NAME
#undef LANES
#undef vec
#undef bits
#undef INLINE
#pragma GCC pop_options

#endif

#define NAME(x) JOIN(x, plain)
#define LANES 4
#include KERNELS

static const Kernels *kernels(void)
{
    static const Kernels *chosen = 0;
    if (!chosen) {
        chosen = &kernels_plain;
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
            __builtin_cpu_supports("avx512bw"))
            chosen = &kernels_avx512;
        else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
            chosen = &kernels_avx2;
#endif
    }
    return chosen;
}
