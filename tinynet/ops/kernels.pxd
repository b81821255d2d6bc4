# The mirror of csrc/tinynet.h: the one place where Cython sees the C kernels.  `K` is the table in use.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t


cdef extern from "tinynet.h" nogil:
    enum:
        TN_ROW_BLOCK

    ctypedef struct tn_window:
        Py_ssize_t h, w, c, ld
        Py_ssize_t rows, columns
        Py_ssize_t taps_h, taps_w
        Py_ssize_t step_h, step_w, offset_h, offset_w, gap_h, gap_w

    ctypedef struct tn_kernels:
        const char* isa
        Py_ssize_t panel
        void (*sigmoid_forward_f32)(float* y, const float* x, Py_ssize_t n) noexcept nogil
        void (*sigmoid_backward_f32)(float* gx, const float* gy, const float* y, Py_ssize_t n) noexcept nogil
        void (*tanh_forward_f32)(float* y, const float* x, Py_ssize_t n) noexcept nogil
        void (*tanh_backward_f32)(float* gx, const float* gy, const float* y, Py_ssize_t n) noexcept nogil
        void (*relu_forward_f32)(float* y, const float* x, Py_ssize_t n) noexcept nogil
        void (*relu_backward_f32)(float* gx, const float* gy, const float* y, Py_ssize_t n) noexcept nogil
        void (*add_f32)(float* y, const float* a, const float* b, Py_ssize_t n, int da, int db) noexcept nogil
        void (*sub_f32)(float* y, const float* a, const float* b, Py_ssize_t n, int da, int db) noexcept nogil
        void (*mul_f32)(float* y, const float* a, const float* b, Py_ssize_t n, int da, int db) noexcept nogil
        void (*div_f32)(float* y, const float* a, const float* b, Py_ssize_t n, int da, int db) noexcept nogil
        void (*where_f32)(float* y, const uint8_t* c, const float* a, const float* b, Py_ssize_t n, int da, int db) noexcept nogil
        void (*transpose_f32)(float* y, const float* x, Py_ssize_t rows, Py_ssize_t cols, Py_ssize_t ldy,
                              Py_ssize_t ldx) noexcept nogil
        void (*copy_rows_f32)(float* y, const float* x, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ldy,
                              Py_ssize_t ldx) noexcept nogil
        void (*leaky_relu_forward_f32)(float* y, const float* x, Py_ssize_t n, const float* p) noexcept nogil
        void (*leaky_relu_backward_f32)(float* gx, const float* gy, const float* v, Py_ssize_t n, const float* p) noexcept nogil
        void (*elu_forward_f32)(float* y, const float* x, Py_ssize_t n, const float* p) noexcept nogil
        void (*elu_backward_f32)(float* gx, const float* gy, const float* y, Py_ssize_t n, const float* p) noexcept nogil
        void (*hardtanh_forward_f32)(float* y, const float* x, Py_ssize_t n, const float* p) noexcept nogil
        void (*hardtanh_backward_f32)(float* gx, const float* gy, const float* y, Py_ssize_t n, const float* p) noexcept nogil
        void (*softplus_forward_f32)(float* y, const float* x, Py_ssize_t n, const float* p) noexcept nogil
        void (*softplus_backward_f32)(float* gx, const float* gy, const float* x, Py_ssize_t n, const float* p) noexcept nogil
        void (*logsigmoid_forward_f32)(float* y, const float* x, Py_ssize_t n) noexcept nogil
        void (*logsigmoid_backward_f32)(float* gx, const float* gy, const float* y, Py_ssize_t n) noexcept nogil
        void (*silu_forward_f32)(float* y, const float* x, Py_ssize_t n) noexcept nogil
        void (*silu_backward_f32)(float* gx, const float* gy, const float* x, Py_ssize_t n) noexcept nogil
        void (*gelu_forward_f32)(float* y, const float* x, Py_ssize_t n) noexcept nogil
        void (*gelu_backward_f32)(float* gx, const float* gy, const float* x, Py_ssize_t n) noexcept nogil
        void (*gelu_tanh_forward_f32)(float* y, const float* x, Py_ssize_t n) noexcept nogil
        void (*gelu_tanh_backward_f32)(float* gx, const float* gy, const float* x, Py_ssize_t n) noexcept nogil
        void (*gemm_pack_f32)(float* p, const float* b, Py_ssize_t k, Py_ssize_t n, Py_ssize_t bk, Py_ssize_t bn) noexcept nogil
        void (*gemm_panel_f32)(float* c, const float* a, const float* p, const float* bias, Py_ssize_t m, Py_ssize_t n,
                               Py_ssize_t k, Py_ssize_t ldc, Py_ssize_t am, Py_ssize_t ak, int accumulate) noexcept nogil
        void (*gemm_panels_f32)(float* c, const float* a, const float* p, const float* bias, Py_ssize_t m, Py_ssize_t n,
                                Py_ssize_t k, Py_ssize_t ldc, Py_ssize_t am, Py_ssize_t ak, Py_ssize_t next,
                                bint accumulate) noexcept nogil
        void (*gemm_rows_f32)(float* c, const float* a, const float* b, const float* bias, Py_ssize_t m, Py_ssize_t n,
                              Py_ssize_t k, Py_ssize_t ldc, Py_ssize_t am, Py_ssize_t ak, Py_ssize_t ldb,
                              int accumulate) noexcept nogil
        void (*im2row_f32)(float* rows, const float* x, const tn_window* v, Py_ssize_t first, Py_ssize_t count, Py_ssize_t j,
                           Py_ssize_t width, Py_ssize_t ld) noexcept nogil
        void (*depthwise_forward_f32)(float* y, const float* x, const float* w, const float* bias, const tn_window* v,
                                      Py_ssize_t row, Py_ssize_t k, Py_ssize_t many, Py_ssize_t ldy) noexcept nogil
        void (*depthwise_weights_f32)(float* gw, const float* gy, const float* x, const tn_window* v, Py_ssize_t row,
                                      Py_ssize_t k, Py_ssize_t many, Py_ssize_t ldg) noexcept nogil
        void (*winograd_input_f32)(float* v, const float* x, const tn_window* w, Py_ssize_t first, Py_ssize_t count,
                                   Py_ssize_t n, Py_ssize_t point, Py_ssize_t ld, Py_ssize_t low,
                                   Py_ssize_t high) noexcept nogil
        void (*winograd_output_f32)(float* y, const float* m, const float* bias, const tn_window* w, Py_ssize_t first,
                                    Py_ssize_t count, Py_ssize_t n, Py_ssize_t ldy, Py_ssize_t point, Py_ssize_t ld,
                                    int accumulate) noexcept nogil
        void (*winograd_gradient_f32)(float* v, const float* g, const tn_window* w, Py_ssize_t first, Py_ssize_t count,
                                      Py_ssize_t n, Py_ssize_t ldg, Py_ssize_t point, Py_ssize_t ld, Py_ssize_t low,
                                      Py_ssize_t high) noexcept nogil
        void (*winograd_weights_f32)(float* u, const float* w, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t down,
                                     Py_ssize_t across, Py_ssize_t point, int turned) noexcept nogil
        void (*winograd_kernel_f32)(float* gw, const float* u, Py_ssize_t parts, Py_ssize_t n, Py_ssize_t part,
                                    Py_ssize_t point) noexcept nogil
        void (*column_sum_f32)(double* sum, const float* x, Py_ssize_t rows, Py_ssize_t c, Py_ssize_t ld) noexcept nogil
        void (*bn_statistics_f32)(double* mean, double* m2, const float* x, Py_ssize_t rows, Py_ssize_t c,
                                  Py_ssize_t ld) noexcept nogil
        void (*bn_apply_f32)(float* y, const float* x, const float* center, const float* scale, const float* shift,
                             Py_ssize_t rows, Py_ssize_t c, Py_ssize_t ldy, Py_ssize_t ldx) noexcept nogil
        void (*bn_reduce_f32)(double* sum_g, double* sum_gx, const float* gy, const float* x, const float* center,
                              const float* scale, const float* shift, Py_ssize_t rows, Py_ssize_t c, Py_ssize_t ldg,
                              Py_ssize_t ldx) noexcept nogil
        void (*bn_backward_f32)(float* gx, const float* gy, const float* x, const float* center, const float* a,
                                const float* b, const float* d, Py_ssize_t rows, Py_ssize_t c, Py_ssize_t ldo,
                                Py_ssize_t ldg, Py_ssize_t ldx) noexcept nogil
        void (*bn_relu_apply_f32)(float* y, const float* x, const float* center, const float* scale, const float* shift,
                                  Py_ssize_t rows, Py_ssize_t c, Py_ssize_t ldy, Py_ssize_t ldx) noexcept nogil
        void (*bn_relu_reduce_f32)(double* sum_g, double* sum_gx, const float* gy, const float* x, const float* center,
                                   const float* scale, const float* shift, const float* gate_scale, const float* gate_shift,
                                   Py_ssize_t rows, Py_ssize_t c, Py_ssize_t ldg, Py_ssize_t ldx) noexcept nogil
        void (*bn_relu_backward_f32)(float* gx, const float* gy, const float* x, const float* center, const float* a,
                                     const float* b, const float* d, const float* gate_scale, const float* gate_shift,
                                     Py_ssize_t rows, Py_ssize_t c, Py_ssize_t ldo, Py_ssize_t ldg,
                                     Py_ssize_t ldx) noexcept nogil
        void (*softmax_forward_f32)(float* y, const float* x, Py_ssize_t rows, Py_ssize_t c) noexcept nogil
        void (*softmax_backward_f32)(float* gx, const float* gy, const float* y, Py_ssize_t rows, Py_ssize_t c) noexcept nogil
        void (*log_softmax_forward_f32)(float* y, const float* x, Py_ssize_t rows, Py_ssize_t c) noexcept nogil
        void (*log_softmax_backward_f32)(float* gx, const float* gy, const float* y, Py_ssize_t rows,
                                         Py_ssize_t c) noexcept nogil
        void (*cross_entropy_forward_f32)(float* loss, const float* logp, const int64_t* t, const float* weight,
                                          Py_ssize_t rows, Py_ssize_t c, int64_t ignore, float keep,
                                          float smooth) noexcept nogil
        void (*cross_entropy_backward_f32)(float* gx, const float* g, const float* logp, const int64_t* t,
                                           const float* weight, Py_ssize_t rows, Py_ssize_t c, Py_ssize_t ldg,
                                           int64_t ignore, float keep, float smooth) noexcept nogil
        void (*cross_entropy_soft_forward_f32)(float* loss, const float* logp, const float* t, const float* weight,
                                               Py_ssize_t rows, Py_ssize_t c, float keep, float smooth) noexcept nogil
        void (*cross_entropy_soft_backward_f32)(float* gx, float* gt, const float* g, const float* logp, const float* t,
                                                const float* weight, Py_ssize_t rows, Py_ssize_t c, Py_ssize_t ldg,
                                                float keep, float smooth) noexcept nogil
        double (*mse_forward_f32)(float* y, const float* x, const float* t, Py_ssize_t n, float delta,
                                  float scale) noexcept nogil
        double (*l1_forward_f32)(float* y, const float* x, const float* t, Py_ssize_t n, float delta,
                                 float scale) noexcept nogil
        double (*huber_forward_f32)(float* y, const float* x, const float* t, Py_ssize_t n, float delta,
                                    float scale) noexcept nogil
        double (*bce_forward_f32)(float* y, const float* x, const float* t, Py_ssize_t n, float delta,
                                  float scale) noexcept nogil
        void (*mse_backward_f32)(float* gx, const float* g, const float* x, const float* t, Py_ssize_t n, Py_ssize_t ldg,
                                 float delta, float scale) noexcept nogil
        void (*l1_backward_f32)(float* gx, const float* g, const float* x, const float* t, Py_ssize_t n, Py_ssize_t ldg,
                                float delta, float scale) noexcept nogil
        void (*huber_backward_f32)(float* gx, const float* g, const float* x, const float* t, Py_ssize_t n, Py_ssize_t ldg,
                                   float delta, float scale) noexcept nogil
        void (*bce_backward_f32)(float* gx, const float* g, const float* x, const float* t, Py_ssize_t n, Py_ssize_t ldg,
                                 float delta, float scale) noexcept nogil
        void (*layer_norm_forward_f32)(float* y, float* stats, const float* x, const float* weight, const float* bias,
                                       Py_ssize_t rows, Py_ssize_t c, double eps) noexcept nogil
        void (*layer_norm_backward_f32)(float* gx, double* sums, float* part, const float* gy, const float* x,
                                        const float* stats, const float* weight, Py_ssize_t rows,
                                        Py_ssize_t c) noexcept nogil
        void (*sum_rows_f32)(double* total, const float* x, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld,
                             const double* center) noexcept nogil
        void (*sum_columns_f32)(double* total, const float* x, Py_ssize_t rows, Py_ssize_t c, Py_ssize_t ld,
                                const double* center) noexcept nogil
        void (*extreme_rows_f32)(float* y, const float* x, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld,
                                 int32_t sign) noexcept nogil
        void (*extreme_columns_f32)(float* y, const float* x, Py_ssize_t rows, Py_ssize_t c, Py_ssize_t ld,
                                    int32_t sign) noexcept nogil
        void (*max_pool_forward_f32)(float* y, uint8_t* at, const float* x, const Py_ssize_t* row, const Py_ssize_t* windows,
                                     const Py_ssize_t* ahead, Py_ssize_t columns, Py_ssize_t w, Py_ssize_t c, Py_ssize_t ldx,
                                     Py_ssize_t kw, Py_ssize_t dh, Py_ssize_t dw) noexcept nogil
        void (*max_pool_backward_f32)(float* gx, const float* gy, const uint8_t* at, Py_ssize_t iy, const Py_ssize_t* rows,
                                      const Py_ssize_t* touching_row, const Py_ssize_t* windows, const Py_ssize_t* touching,
                                      const Py_ssize_t* ahead, Py_ssize_t w, Py_ssize_t columns, Py_ssize_t c, Py_ssize_t ldg,
                                      Py_ssize_t kw, Py_ssize_t dh, Py_ssize_t dw) noexcept nogil
        void (*window_sum_f32)(float* y, const float* x, const float* weight, const float* divisor, const Py_ssize_t* row,
                               const Py_ssize_t* windows, const Py_ssize_t* ahead, Py_ssize_t columns, Py_ssize_t w,
                               Py_ssize_t c, Py_ssize_t ldx) noexcept nogil
        void (*response_forward_f32)(float* y, float* room, const float* x, Py_ssize_t rows, Py_ssize_t c, Py_ssize_t ldx,
                                     Py_ssize_t below, Py_ssize_t above, float alpha, float beta, float k) noexcept nogil
        void (*response_backward_f32)(float* gx, float* room, const float* gy, const float* x, Py_ssize_t rows, Py_ssize_t c,
                                      Py_ssize_t ldg, Py_ssize_t ldx, Py_ssize_t below, Py_ssize_t above, float alpha,
                                      float beta, float k) noexcept nogil
        void (*philox_u32)(uint32_t* out, Py_ssize_t n, uint64_t first, uint64_t seed, uint64_t call) noexcept nogil
        void (*dropout_f32)(float* y, const float* x, Py_ssize_t n, uint64_t first, uint64_t seed, uint64_t call,
                            uint32_t threshold, float scale) noexcept nogil
        void (*sgd_f32)(float* w, float* v, const float* g, Py_ssize_t n, float lr, float mu, float damp, float decay,
                        float sign, int nesterov) noexcept nogil
        void (*adam_f32)(float* w, float* a, float* s, float* top, const float* g, Py_ssize_t n, float rate, float root,
                         float r1, float beta2, float r2, float eps, float keep, float decay, float sign) noexcept nogil
        void (*rmsprop_f32)(float* w, float* s, float* a, float* v, const float* g, Py_ssize_t n, float lr, float alpha,
                            float r, float eps, float mu, float decay, float sign) noexcept nogil
        void (*adagrad_f32)(float* w, float* s, const float* g, Py_ssize_t n, float rate, float eps, float decay,
                            float sign) noexcept nogil

    const tn_kernels* tn_select(const char* name)
    int tn_compiled(const char* name)


cdef const tn_kernels* K
