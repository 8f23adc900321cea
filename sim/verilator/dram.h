// The DRAM behind the AXI4 port, and the rules its master must keep: the specification is the
// docstrings of weft.sim.dram.DramModel and weft.sim.axi.AxiChecker, step for step. The rules for
// the memory are not looked at here: this one is what they were checked on.

#ifndef WEFT_DRAM_H
#define WEFT_DRAM_H

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <vector>

namespace weft {

constexpr uint64_t PAGE_BYTES = 4096;
constexpr unsigned INCR = 1;
enum Channel : unsigned { AR, R, AW, W, B, CHANNELS };
enum Response : unsigned { OKAY = 0, SLVERR = 2, DECERR = 3 };

// The output function of SplitMix64, as weft.sim.dram.mix.
inline uint64_t mix(uint64_t seed, uint64_t channel, uint64_t cycle) {
    uint64_t z = seed + 0x9E3779B97F4A7C15ull * (8 * cycle + channel + 1);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return z ^ z >> 31;
}

struct WeftErrorRange {
    uint64_t start, stop;  // stop is the last byte's address plus one
    uint64_t response;
};

struct WeftDram {
    uint64_t base, size;
    uint64_t read_latency, write_latency;
    uint64_t read_interval, write_interval;
    uint64_t read_outstanding, write_outstanding;
    uint64_t stalls[CHANNELS];
    uint64_t seed;
    uint64_t read_ranges, write_ranges;  // how many
    const WeftErrorRange* read_errors;
    const WeftErrorRange* write_errors;
};

// One cycle's address channel, as the master drives it.
struct WeftAddress {
    uint64_t valid, ready, id, address, length, size, burst;
};

// One cycle's data channel; the bytes are in the order of their addresses.
struct WeftBeat {
    uint64_t valid, ready, last;
    uint8_t strobe[16];
    uint8_t data[128];
};

// Everything the rules for the master look at: what is held from before, and this cycle's.
struct WeftProtocol {
    uint64_t beats_left;
    uint64_t held[3];  // AR, AW, W: a cycle with valid and without ready came before
    WeftAddress held_ar, held_aw, ar, aw;
    WeftBeat held_w, w;
};

template <unsigned BYTES>
class Dram {
public:
    // Driven by the master in cycle `cycle`.
    WeftProtocol bus{};
    bool rready = false, bready = false;
    // Driven by the memory in cycle `cycle`.
    bool arready = false, awready = false, wready = false, rvalid = false, rlast = false,
         bvalid = false;
    unsigned rresp = OKAY, bresp = OKAY;
    uint64_t rid = 0, bid = 0;
    uint8_t rdata[BYTES] = {};

    uint64_t cycle = 0;

    Dram(const WeftDram& parameters, uint8_t* memory)
        : m_parameters{parameters}, m_memory{memory},
          m_read_errors(parameters.read_errors, parameters.read_errors + parameters.read_ranges),
          m_write_errors(
              parameters.write_errors, parameters.write_errors + parameters.write_ranges) {}

    // Whether the master keeps the rules in this cycle. The caller words the breach.
    bool check() {
        bus.beats_left = m_writes.empty() ? 0 : m_writes.front().beats;
        bus.ar.ready = arready;
        bus.aw.ready = awready;
        bus.w.ready = wready;
        if (!keeps(bus.held[0], bus.held_ar, bus.ar)) return false;
        if (!keeps(bus.held[1], bus.held_aw, bus.aw)) return false;
        const WeftBeat& beat = bus.w;
        if (bus.held[2]
            && (!beat.valid || beat.last != bus.held_w.last
                || std::memcmp(beat.strobe, bus.held_w.strobe, sizeof beat.strobe)
                || std::memcmp(beat.data, bus.held_w.data, BYTES)))
            return false;
        if (beat.valid && wready && beat.last != (bus.beats_left == 1)) return false;
        return true;
    }

    // The outputs of the next cycle from this one's inputs.
    void step() {
        hold();
        take(cycle + 1);
        ++cycle;
        offer(cycle);
    }

private:
    struct Read { uint64_t due, address, beats, id; };
    struct Write { uint64_t address, beats; unsigned response; uint64_t id; };
    struct Answer { uint64_t due; unsigned response; uint64_t id; };

    const WeftDram m_parameters;
    uint8_t* const m_memory;
    const std::vector<WeftErrorRange> m_read_errors, m_write_errors;
    std::deque<Read> m_reads;
    std::deque<Write> m_writes;
    std::deque<Answer> m_answers;
    uint64_t m_reads_open = 0, m_writes_open = 0;
    uint64_t m_read_allowed = 0, m_write_allowed = 0;

    static bool keeps(bool is_held, const WeftAddress& held, const WeftAddress& now) {
        if (is_held
            && (!now.valid || now.id != held.id || now.address != held.address
                || now.length != held.length || now.size != held.size || now.burst != held.burst))
            return false;
        return !now.valid
               || (1u << now.size == BYTES && now.burst == INCR && now.address % BYTES == 0
                   && now.address % PAGE_BYTES + (now.length + 1) * BYTES <= PAGE_BYTES);
    }

    void hold() {
        if ((bus.held[0] = bus.ar.valid && !arready)) bus.held_ar = bus.ar;
        if ((bus.held[1] = bus.aw.valid && !awready)) bus.held_aw = bus.aw;
        if ((bus.held[2] = bus.w.valid && !wready)) bus.held_w = bus.w;
    }

    void take(uint64_t after) {
        if (bus.ar.valid && arready) {
            m_reads.push_back(
                {after + m_parameters.read_latency, bus.ar.address, bus.ar.length + 1, bus.ar.id});
            ++m_reads_open;
        }
        if (rvalid && rready) {
            rvalid = false;
            m_reads_open -= rlast;
        }
        if (bus.aw.valid && awready) {
            m_writes.push_back({bus.aw.address, bus.aw.length + 1, OKAY, bus.aw.id});
            ++m_writes_open;
        }
        if (bus.w.valid && wready) {
            Write& burst = m_writes.front();
            burst.response = std::max(burst.response, store(burst.address));
            burst.address += BYTES;
            --burst.beats;
            m_write_allowed = after - 1 + m_parameters.write_interval;
            if (burst.beats == 0) {
                m_answers.push_back(
                    {after + m_parameters.write_latency, burst.response, burst.id});
                m_writes.pop_front();
            }
        }
        if (bvalid && bready) {
            bvalid = false;
            --m_writes_open;
        }
    }

    void offer(uint64_t now) {
        arready = m_reads_open < m_parameters.read_outstanding && flows(AR, now);
        if (!rvalid && !m_reads.empty() && now >= m_reads.front().due && now >= m_read_allowed
            && flows(R, now)) {
            Read& burst = m_reads.front();
            rvalid = true;
            rresp = load(burst.address);
            rlast = burst.beats == 1;
            rid = burst.id;
            burst.address += BYTES;
            --burst.beats;
            if (burst.beats == 0) m_reads.pop_front();
            m_read_allowed = now + m_parameters.read_interval;
        }
        awready = m_writes_open < m_parameters.write_outstanding && flows(AW, now);
        wready = !m_writes.empty() && now >= m_write_allowed && flows(W, now);
        if (!bvalid && !m_answers.empty() && now >= m_answers.front().due && flows(B, now)) {
            bvalid = true;
            bresp = m_answers.front().response;
            bid = m_answers.front().id;
            m_answers.pop_front();
        }
    }

    bool flows(Channel channel, uint64_t now) const {
        const uint64_t stall = m_parameters.stalls[channel];
        return !stall || (mix(m_parameters.seed, channel, now) & 255) >= stall;
    }

    unsigned response(uint64_t address, const std::vector<WeftErrorRange>& ranges) const {
        if (address < m_parameters.base || address - m_parameters.base > m_parameters.size - BYTES)
            return DECERR;
        unsigned worst = OKAY;
        for (const WeftErrorRange& range : ranges)
            if (range.start < address + BYTES && address < range.stop)
                worst = std::max(worst, static_cast<unsigned>(range.response));
        return worst;
    }

    unsigned load(uint64_t address) {
        const unsigned answer = response(address, m_read_errors);
        if (answer == OKAY)
            std::memcpy(rdata, m_memory + (address - m_parameters.base), BYTES);
        else
            std::memset(rdata, 0, BYTES);
        return answer;
    }

    unsigned store(uint64_t address) {
        const unsigned answer = response(address, m_write_errors);
        if (answer == OKAY) {
            uint8_t* const target = m_memory + (address - m_parameters.base);
            for (unsigned lane = 0; lane < BYTES; ++lane)
                if (bus.w.strobe[lane / 8] >> lane % 8 & 1) target[lane] = bus.w.data[lane];
        }
        return answer;
    }
};

}  // namespace weft

#endif
