// The two functions of LZ4 that Verilator's FST writer calls, so that no library is needed.
// One block, greedy matches through a hash table, after the LZ4 block format description.

#ifndef WEFT_LZ4_H
#define WEFT_LZ4_H

#include <cstdint>
#include <cstring>
#include <vector>

inline int LZ4_compressBound(int size) { return size + size / 255 + 16; }

namespace weft_lz4 {

constexpr int SHORTEST = 4;      // bytes of a match
constexpr int LAST_LITERALS = 5; // the block ends with so many
constexpr int MATCH_LIMIT = 12;  // no match begins in the last so many bytes
constexpr int FARTHEST = 65535;  // distance of a match
constexpr int HASH_BITS = 14;

inline uint32_t word(const uint8_t* at) {
    uint32_t value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

// A length beyond the token's four bits.
inline uint8_t* put_length(uint8_t* out, int rest) {
    for (; rest >= 255; rest -= 255) *out++ = 255;
    *out++ = static_cast<uint8_t>(rest);
    return out;
}

// Literals, and then a match of `length` bytes `distance` back unless `length` is 0.
inline uint8_t* put(uint8_t* out, const uint8_t* literals, int count, int distance, int length) {
    const int extra = length ? length - SHORTEST : 0;
    *out++ = static_cast<uint8_t>((count < 15 ? count : 15) << 4 | (extra < 15 ? extra : 15));
    if (count >= 15) out = put_length(out, count - 15);
    std::memcpy(out, literals, count);
    out += count;
    if (length) {
        *out++ = static_cast<uint8_t>(distance);
        *out++ = static_cast<uint8_t>(distance >> 8);
        if (extra >= 15) out = put_length(out, extra - 15);
    }
    return out;
}

}  // namespace weft_lz4

// Size of the block in `target`, which has room for LZ4_compressBound(size) bytes.
inline int LZ4_compress_default(const char* source, char* target, int size, int) {
    using namespace weft_lz4;
    const uint8_t* const in = reinterpret_cast<const uint8_t*>(source);
    uint8_t* const begin = reinterpret_cast<uint8_t*>(target);
    uint8_t* out = begin;
    std::vector<int> seen(1 << HASH_BITS, -1);
    int anchor = 0;
    for (int at = 0; at < size - MATCH_LIMIT;) {
        int& slot = seen[word(in + at) * 2654435761u >> (32 - HASH_BITS)];
        const int match = slot;
        slot = at;
        if (match < 0 || at - match > FARTHEST || word(in + match) != word(in + at)) {
            ++at;
            continue;
        }
        int length = SHORTEST;
        while (at + length < size - LAST_LITERALS && in[match + length] == in[at + length])
            ++length;
        out = put(out, in + anchor, at - anchor, at - match, length);
        at += length;
        anchor = at;
    }
    out = put(out, in + anchor, size - anchor, 0, 0);
    return static_cast<int>(out - begin);
}

#endif
