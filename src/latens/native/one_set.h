#include "vectors.h"
#include KERNELS

#undef INLINE
#undef ROW
#undef vec
#undef bits
#undef NAME
#undef LANES
#undef BLOCK_M
#undef BLOCK_S
#undef BLOCK_L
#undef BLOCK_R
