/* Philox4x32-10, the counter-based generator of Salmon et al. 2011 (section 3.3), VL blocks side by side.
 *
 * The numbers are a function of (seed, call, element index) alone, so any thread can make any piece.  The rounds are those
 * of philox_block in scalar.c; the loops over `lane` compile to vector instructions.
 */
INLINE void philox_blocks(uint32_t out[4][VL], uint64_t counter, uint64_t call, uint64_t seed) {
    uint32_t c0[VL], c1[VL], c2[VL], c3[VL];
    for (int lane = 0; lane < VL; lane++) {
        c0[lane] = (uint32_t)(counter + (uint64_t)lane);
        c1[lane] = (uint32_t)((counter + (uint64_t)lane) >> 32);
        c2[lane] = (uint32_t)call;
        c3[lane] = (uint32_t)(call >> 32);
    }
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u)
        for (int lane = 0; lane < VL; lane++) {
            uint64_t p0 = (uint64_t)0xD2511F53u * c0[lane], p1 = (uint64_t)0xCD9E8D57u * c2[lane];
            c0[lane] = (uint32_t)(p1 >> 32) ^ c1[lane] ^ k0;
            c1[lane] = (uint32_t)p1;
            c2[lane] = (uint32_t)(p0 >> 32) ^ c3[lane] ^ k1;
            c3[lane] = (uint32_t)p0;
        }
    memcpy(out[0], c0, sizeof c0);
    memcpy(out[1], c1, sizeof c1);
    memcpy(out[2], c2, sizeof c2);
    memcpy(out[3], c3, sizeof c3);
}

/* 4*VL numbers in element order: word i % 4 of block i / 4. */
INLINE void philox_chunk(uint32_t out[4 * VL], uint64_t counter, uint64_t call, uint64_t seed) {
    uint32_t words[4][VL];
    philox_blocks(words, counter, call, seed);
    for (int lane = 0; lane < VL; lane++)
        for (int word = 0; word < 4; word++) out[4 * lane + word] = words[word][lane];
}

static void philox_u32(uint32_t *out, ptrdiff_t n, uint64_t first, uint64_t seed, uint64_t call) {
    for (ptrdiff_t i = 0; i < n; i += 4 * VL) {
        uint32_t chunk[4 * VL];
        philox_chunk(chunk, (first + (uint64_t)i) / 4, call, seed);
        memcpy(out + i, chunk, (size_t)(n - i < 4 * VL ? n - i : 4 * VL) * sizeof *out);
    }
}

static void dropout_f32(float *y, const float *x, ptrdiff_t n, uint64_t first, uint64_t seed, uint64_t call,
                        uint32_t threshold, float scale) {
    for (ptrdiff_t i = 0; i < n; i += 4 * VL) {
        uint32_t chunk[4 * VL];
        philox_chunk(chunk, (first + (uint64_t)i) / 4, call, seed);
        ptrdiff_t m = n - i < 4 * VL ? n - i : 4 * VL;
        for (ptrdiff_t e = 0; e < m; e++) y[i + e] = chunk[e] >= threshold ? x[i + e] * scale : 0.0f;
    }
}
