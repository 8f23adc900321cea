// The part of zlib that Verilator's FST writer calls, so that no library is needed: it stores
// (RFC 1950, 1951) and does not compress; the writer then keeps the shorter original.

#ifndef WEFT_ZLIB_H
#define WEFT_ZLIB_H

#include <algorithm>
#include <cstdint>
#include <cstring>

using Bytef = unsigned char;
using uLong = unsigned long;
using uLongf = unsigned long;

enum { Z_OK = 0, Z_BUF_ERROR = -5 };

namespace weft_zlib {
constexpr uLong BLOCK = 65535;  // bytes of a stored block
constexpr uint32_t MODULUS = 65521;  // of Adler-32
}

inline uLong compressBound(uLong size) { return size + 5 * (size / weft_zlib::BLOCK + 1) + 6; }

inline int compress2(Bytef* target, uLongf* target_size, const Bytef* source, uLong size, int) {
    using namespace weft_zlib;
    if (*target_size < compressBound(size)) return Z_BUF_ERROR;
    Bytef* out = target;
    *out++ = 0x78;
    *out++ = 0x01;
    uLong at = 0;
    do {
        const uLong length = std::min(BLOCK, size - at);
        *out++ = at + length == size;
        *out++ = static_cast<Bytef>(length);
        *out++ = static_cast<Bytef>(length >> 8);
        *out++ = static_cast<Bytef>(~length);
        *out++ = static_cast<Bytef>(~length >> 8);
        std::memcpy(out, source + at, length);
        out += length;
        at += length;
    } while (at < size);
    uint32_t low = 1, high = 0;
    for (uLong i = 0; i < size; ++i) {
        low = (low + source[i]) % MODULUS;
        high = (high + low) % MODULUS;
    }
    for (const uint32_t half : {high, low}) {
        *out++ = static_cast<Bytef>(half >> 8);
        *out++ = static_cast<Bytef>(half);
    }
    *target_size = static_cast<uLongf>(out - target);
    return Z_OK;
}

#endif
