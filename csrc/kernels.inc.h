/* All vector kernels of one instruction set: included once by each isa_*.c. */
#include "simd.inc.h"
#include "transpose.inc.h"
#include "elementwise.inc.h"
#include "gemm.inc.h"
#include "columns.inc.h"
#include "rows.inc.h"
#include "random.inc.h"
#include "table.inc.h"
