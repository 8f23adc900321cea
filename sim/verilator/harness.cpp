// The clock loop around the verilated model: host accesses, DRAM, observation and waveform, behind
// a C interface that weft.sim.verilator.library binds. The host protocol is that of
// weft.sim.simulation.Simulation.

#include <chrono>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "Vweft.h"
#include "dram.h"
#include "ports.h"
#include "verilated.h"
#include "waveform.h"

#define WEFT_API extern "C" __attribute__((visibility("default")))

// Verilator's run-time errors end the simulation, not the process.
void vl_fatal(const char*, int, const char*, const char* message) {
    throw std::runtime_error(message);
}

struct WeftStatus {
    uint64_t cycles;       // clock edges so far
    uint64_t state;        // a State
    uint64_t response;     // of the last register access
    uint64_t value;        // of the last read; of the interrupt after a wait
    uint64_t nanoseconds;  // spent in weft_run
    // Of every SAMPLE-th cycle: the whole cycle, and the model's evaluation in it.
    uint64_t sampled_nanoseconds, evaluation_nanoseconds;
    weft::WeftProtocol protocol;  // of the cycle that broke a rule
    char message[512];            // of an exception
};

namespace weft {
namespace {

constexpr uint64_t ANSWER_CYCLES = WEFT_ANSWER_CYCLES;
constexpr uint64_t SAMPLE = 16;

enum State : uint64_t { IDLE, READING, WRITING, WAITING, SILENT, BROKEN, FAILED };

using Clock = std::chrono::steady_clock;

uint64_t since(Clock::time_point start) {
    return static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count());
}

class Instance {
public:
    WeftStatus status{};

    Instance(const WeftDram& parameters, uint8_t* memory)
#if WEFT_AXI
        : m_dram{parameters, memory}
#endif
    {
        (void)parameters, (void)memory;
        m_model.clk = 0;
    }

    ~Instance() {
        m_waveform.reset();
        m_model.final();
    }

    void begin(State state, uint64_t address, uint64_t value) {
        m_ticks = 0;
        status.state = state;
        if (state == READING) {
            m_model.s_axil_araddr = address;
            m_model.s_axil_arvalid = 1;
            m_model.s_axil_rready = 1;
        } else if (state == WRITING) {
            m_model.s_axil_awaddr = address;
            m_model.s_axil_awvalid = 1;
            m_model.s_axil_wdata = value;
            m_model.s_axil_wstrb = 0xF;
            m_model.s_axil_wvalid = 1;
            m_model.s_axil_bready = 1;
        } else {
            m_timeout = value;
        }
    }

    void run(uint64_t cycles) {
        const Clock::time_point start = Clock::now();
        try {
            while (cycles-- && is_busy()) {
                if (status.cycles % SAMPLE)
                    cycle<false>();
                else
                    cycle<true>();
            }
        } catch (const std::exception& error) {
            status.state = FAILED;
            std::strncpy(status.message, error.what(), sizeof status.message - 1);
        }
        status.nanoseconds += since(start);
    }

    void open_waveform(const char* path, uint64_t first, uint64_t end, uint64_t part) {
        m_waveform = std::make_unique<Waveform>(m_context, m_model, path, first, end, part);
    }

    void close_waveform() { m_waveform.reset(); }

    void observe(bool enable) {
        m_observes = enable;
        m_changes.clear();
        m_words.clear();
    }

    uint64_t changes(const uint64_t*& cycles, const uint32_t*& words) const {
        cycles = m_changes.data();
        words = m_words.data();
        return m_changes.size();
    }

private:
    VerilatedContext m_context;
    Vweft m_model{&m_context, ""};
#if WEFT_AXI
    Dram<WEFT_BEAT_BYTES> m_dram;
#endif
    std::unique_ptr<Waveform> m_waveform;
    uint64_t m_ticks = 0, m_timeout = 0;
    bool m_observes = false;
    std::vector<uint64_t> m_changes;
    std::vector<uint32_t> m_words;

    bool is_busy() const {
        return status.state == READING || status.state == WRITING || status.state == WAITING;
    }

    // From one rising edge to the next. The model's inputs from the DRAM pass a register of the
    // bench, so that they change with the edge; the host's stand since before.
    template <bool SAMPLED>
    void cycle() {
        const Clock::time_point start = SAMPLED ? Clock::now() : Clock::time_point{};
        uint64_t evaluation = evaluate<SAMPLED>(0);
        if (m_waveform) m_waveform->fall(status.cycles);
#if WEFT_OBSERVATION_BITS
        if (m_observes) record();
#endif
        if (!serve_memory()) {
            status.state = BROKEN;
            return;
        }
        sample_host();
        evaluation += evaluate<SAMPLED>(1);
        drive_host();
        ++status.cycles;
        if (m_waveform) m_waveform->rise(status.cycles);
        if (SAMPLED) {
            status.evaluation_nanoseconds += evaluation;
            status.sampled_nanoseconds += since(start);
        }
    }

    template <bool SAMPLED>
    uint64_t evaluate(CData clock) {
        const Clock::time_point start = SAMPLED ? Clock::now() : Clock::time_point{};
        m_model.clk = clock;
        m_model.eval();
        return SAMPLED ? since(start) : 0;
    }

    // What the host sees just before the edge.
    bool m_address_accepted = false, m_data_accepted = false, m_answered = false;

    void sample_host() {
        switch (status.state) {
        case READING:
            m_address_accepted = m_model.s_axil_arready;
            m_answered = m_model.s_axil_rvalid;
            status.response = m_model.s_axil_rresp;
            status.value = m_model.s_axil_rdata;
            break;
        case WRITING:
            m_address_accepted = m_model.s_axil_awready;
            m_data_accepted = m_model.s_axil_wready;
            m_answered = m_model.s_axil_bvalid;
            status.response = m_model.s_axil_bresp;
            break;
        default:
            status.value = m_model.irq;
        }
        ++m_ticks;
    }

    // What the host does after it.
    void drive_host() {
        switch (status.state) {
        case READING:
            if (m_address_accepted) m_model.s_axil_arvalid = 0;
            if (m_answered) m_model.s_axil_rready = 0;
            break;
        case WRITING:
            if (m_address_accepted) m_model.s_axil_awvalid = 0;
            if (m_data_accepted) m_model.s_axil_wvalid = 0;
            if (m_answered) m_model.s_axil_bready = 0;
            break;
        default:
            if (status.value || m_ticks == m_timeout) status.state = IDLE;
            return;
        }
        if (m_answered)
            status.state = IDLE;
        else if (m_ticks == ANSWER_CYCLES)
            status.state = SILENT;
    }

#if WEFT_AXI
    bool serve_memory() {
        auto& bus = m_dram.bus;
        m_dram.rready = m_model.m_axi_rready;
        m_dram.bready = m_model.m_axi_bready;
        if ((bus.ar.valid = m_model.m_axi_arvalid)) {
            bus.ar.id = m_model.m_axi_arid;
            bus.ar.address = m_model.m_axi_araddr;
            bus.ar.length = m_model.m_axi_arlen;
            bus.ar.size = m_model.m_axi_arsize;
            bus.ar.burst = m_model.m_axi_arburst;
        }
        if ((bus.aw.valid = m_model.m_axi_awvalid)) {
            bus.aw.id = m_model.m_axi_awid;
            bus.aw.address = m_model.m_axi_awaddr;
            bus.aw.length = m_model.m_axi_awlen;
            bus.aw.size = m_model.m_axi_awsize;
            bus.aw.burst = m_model.m_axi_awburst;
        }
        if ((bus.w.valid = m_model.m_axi_wvalid)) {
            bus.w.last = m_model.m_axi_wlast;
            std::memcpy(bus.w.strobe, &m_model.m_axi_wstrb, sizeof m_model.m_axi_wstrb);
            std::memcpy(bus.w.data, &m_model.m_axi_wdata, WEFT_BEAT_BYTES);
        }
        if (!m_dram.check()) {
            status.protocol = bus;
            return false;
        }
        m_dram.step();
        m_model.next_arready = m_dram.arready;
        m_model.next_awready = m_dram.awready;
        m_model.next_wready = m_dram.wready;
        m_model.next_rvalid = m_dram.rvalid;
        m_model.next_rid = m_dram.rid;
        m_model.next_rlast = m_dram.rlast;
        m_model.next_rresp = m_dram.rresp;
        m_model.next_bvalid = m_dram.bvalid;
        m_model.next_bid = m_dram.bid;
        m_model.next_bresp = m_dram.bresp;
        std::memcpy(&m_model.next_rdata, m_dram.rdata, WEFT_BEAT_BYTES);
        return true;
    }
#else
    bool serve_memory() { return true; }
#endif

#if WEFT_OBSERVATION_BITS
    void record() {
        constexpr size_t WORDS = (WEFT_OBSERVATION_BITS + 31) / 32;
        uint32_t now[WORDS] = {};
        std::memcpy(now, &m_model.observation, std::min(sizeof now, sizeof m_model.observation));
        if (!m_changes.empty() && !std::memcmp(now, &*m_words.end() - WORDS, sizeof now)) return;
        m_changes.push_back(status.cycles);
        m_words.insert(m_words.end(), now, now + WORDS);
    }
#endif
};

template <class Action>
int guarded(char* message, size_t size, Action action) {
    try {
        action();
        return 0;
    } catch (const std::exception& error) {
        std::strncpy(message, error.what(), size - 1);
        message[size - 1] = 0;
        return 1;
    }
}

}  // namespace
}  // namespace weft

using weft::Instance;

WEFT_API Instance* weft_create(const weft::WeftDram* dram, uint8_t* memory) {
    return new Instance{*dram, memory};
}

WEFT_API void weft_destroy(Instance* instance) { delete instance; }

WEFT_API const WeftStatus* weft_status(const Instance* instance) { return &instance->status; }

WEFT_API void weft_read(Instance* instance, uint64_t address) {
    instance->begin(weft::READING, address, 0);
}

WEFT_API void weft_write(Instance* instance, uint64_t address, uint64_t value) {
    instance->begin(weft::WRITING, address, value);
}

WEFT_API void weft_wait(Instance* instance, uint64_t timeout_cycles) {
    instance->begin(weft::WAITING, 0, timeout_cycles);
}

WEFT_API void weft_run(Instance* instance, uint64_t cycles) { instance->run(cycles); }

WEFT_API int weft_open_waveform(Instance* instance, const char* path, uint64_t first, uint64_t end,
                                uint64_t part, char* message, uint64_t size) {
    return weft::guarded(
        message, size, [&] { instance->open_waveform(path, first, end, part); });
}

WEFT_API void weft_close_waveform(Instance* instance) { instance->close_waveform(); }

WEFT_API void weft_observe(Instance* instance, int enable) { instance->observe(enable); }

WEFT_API uint64_t weft_observed(
    const Instance* instance, const uint64_t** cycles, const uint32_t** words) {
    return instance->changes(*cycles, *words);
}
